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
        self._prepared: tuple[Chunk, Payload] | None = None

    def __bool__(self) -> bool:
        """Return whether there may be a chunk."""
        return bool(self._entries) or self._prepared is not None

    def add(self, entry: Chunk | MapResult[Any]) -> None:
        """Add a chunk, or all chunks of a call, at the end."""
        self._entries.append(entry)

    def add_first(self, chunks: Iterable[Chunk]) -> None:
        """Add chunks at the front, in their order. Taking thread."""
        self._entries.extendleft(reversed(list(chunks)))

    def next(self, results: CallResults | None = None) -> Chunk | None:
        """Take the next chunk that is still to be executed, if any. Taking thread.

        With `results`, only of this call, as long as it is the first.
        """
        while self._entries:
            entry = self._entries[0]
            if results is not None and results is not _results_of(entry):
                return None
            chunk = entry if isinstance(entry, Chunk) else entry.next_chunk()
            if chunk is entry or chunk is None:
                self._entries.popleft()
            if chunk is not None and chunk.results.set_running(chunk):
                return chunk
        return None

    def prepare(self) -> None:
        """Pickle the next chunk before it is taken. Taking thread.

        Not of `submit`, as its tasks can be cancelled until they are sent; nor of an
        iterator, which may wait for results that this thread receives.
        """
        if self._prepared is None and self._entries:
            results = _results_of(self._entries[0])
            if isinstance(results, MapResult) and results.has_length:
                self._prepared = self._pickle_next(results)

    def next_pickled(self) -> tuple[Chunk, Payload] | None:
        """Take the next chunk, with its payload. Taking thread."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared[0].results.set_running(prepared[0]):
            return prepared
        return self._pickle_next()

    def _pickle_next(
        self, results: CallResults | None = None
    ) -> tuple[Chunk, Payload] | None:
        """Return the next chunk, with its payload; as `next`.

        Large items are sent in parts of a chunk. An item that cannot be pickled fails
        its task alone.
        """
        while (taken := self.next(results)) is not None:
            chunk, rest = _first_items(taken)
            n = len(chunk.items)
            ok, payload = pack_items(chunk.items, self._dumps)
            if ok:
                nbytes = payload_bytes(payload)
                if chunk.results.add_items(n, nbytes, last=not rest):
                    self.add_first(rest)
                    return chunk, payload
                self.add_first([taken])  # its parts have another size
                del payload  # before the next one is made
                continue
            self.add_first(rest)
            if n > 1:
                self.add_first(split_chunk(chunk))
            else:
                failure = pickling_failure(chunk.first, payload)
                outcomes = one_failure(chunk.first, failure)
                chunk.results.add_outcomes(chunk.first, outcomes, ROOT)
        return None

    def results(self) -> set[CallResults]:
        """Return the results of the calls that have entries in the queue."""
        prepared = self._prepared
        results: set[CallResults] = {prepared[0].results} if prepared else set()
        return results | {_results_of(entry) for entry in list(self._entries)}


def _results_of(entry: Chunk | MapResult[Any]) -> CallResults:
    return entry if isinstance(entry, MapResult) else entry.results


def _first_items(chunk: Chunk) -> tuple[Chunk, list[Chunk]]:
    """Return the items of a chunk that are sent together, and the others, if any."""
    results, first, items = chunk
    n = 1 if len(items) == 1 else results.items_per_message(items[0])
    if n >= len(items):
        return chunk, []
    rest = Chunk(results, first + n, items[n:])
    return Chunk(results, first, items[:n]), [rest]


def split_chunk(chunk: Chunk) -> list[Chunk]:
    """Return one chunk per task, so that pickling errors affect one task each."""
    numbered = enumerate(chunk.items, chunk.first)
    return [Chunk(chunk.results, number, [item]) for number, item in numbered]
