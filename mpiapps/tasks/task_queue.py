"""Queue of chunks, in the order of their calls."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Iterable
from typing import Any

from mpiapps.comm.pickling import Dumps
from mpiapps.tasks.chunk import CallResults, Chunk
from mpiapps.tasks.payload import Payload, pack_items
from mpiapps.tasks.pending_memory import payload_bytes
from mpiapps.tasks.results import MapResult
from mpiapps.tasks.task import one_failure, pickling_failure

ROOT = 0


class ChunkQueue:
    """A queue of chunks, and of calls that are split lazily. Root only.

    Any thread may add at the end; one thread at a time takes from the front.

    Parameters
    ----------
    dumps : callable
        Pickles items.
    """

    def __init__(self, dumps: Dumps = pickle.dumps) -> None:
        self._dumps = dumps
        self._entries: deque[Chunk | MapResult[Any]] = deque()

    def __bool__(self) -> bool:
        """Return whether there may be a chunk."""
        return bool(self._entries)

    def add(self, entry: Chunk | MapResult[Any]) -> None:
        """Add a chunk, or all chunks of a call, at the end."""
        self._entries.append(entry)

    def add_first(self, chunks: Iterable[Chunk]) -> None:
        """Add chunks at the front, in their order. Taking thread."""
        self._entries.extendleft(reversed(list(chunks)))

    def next(self) -> Chunk | None:
        """Take the next chunk that is still to be executed, if any. Taking thread."""
        while self._entries:
            entry = self._entries[0]
            chunk = entry if isinstance(entry, Chunk) else entry.next_chunk()
            if chunk is entry or chunk is None:
                self._entries.popleft()
            if chunk is not None and chunk.results.set_running(chunk):
                return chunk
        return None

    def next_pickled(self) -> tuple[Chunk, Payload] | None:
        """Take the next chunk, with its payload. Taking thread.

        An item that cannot be pickled fails its task alone.
        """
        while (chunk := self.next()) is not None:
            ok, payload = pack_items(chunk.items, self._dumps)
            if ok:
                chunk.results.add_items(len(chunk.items), payload_bytes(payload))
                return chunk, payload
            if len(chunk.items) > 1:
                self.add_first(split_chunk(chunk))
            else:
                failure = pickling_failure(chunk.first, payload)
                outcomes = one_failure(chunk.first, failure)
                chunk.results.add_outcomes(chunk.first, outcomes, ROOT)
        return None

    def results(self) -> set[CallResults]:
        """Return the results of the calls that have entries in the queue."""
        return {
            entry if isinstance(entry, MapResult) else entry.results
            for entry in list(self._entries)
        }


def split_chunk(chunk: Chunk) -> list[Chunk]:
    """Return one chunk per task, so that pickling errors affect one task each."""
    numbered = enumerate(chunk.items, chunk.first)
    return [Chunk(chunk.results, number, [item]) for number, item in numbered]
