"""Chunks that wait to be handed out, in the order of their calls."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Iterable
from typing import Any

from mpiapps.comm.packing import Dumps
from mpiapps.comm.task import Payload, not_sent, pack_items
from mpiapps.comm.task_calls import Call, Chunk, Submissions

ROOT = 0


class Queue:
    """Chunks, and calls that are cut when their turn comes. Root only.

    Any thread may add at the end; one thread at a time takes from the front.

    Parameters
    ----------
    dumps : callable
        Pickles items.
    """

    def __init__(self, dumps: Dumps = pickle.dumps) -> None:
        self._dumps = dumps
        self._entries: deque[Chunk | Call[Any]] = deque()

    def __bool__(self) -> bool:
        """Return whether there may be a chunk."""
        return bool(self._entries)

    def add(self, entry: Chunk | Call[Any]) -> None:
        """Let a chunk, or all of a call, wait. Local."""
        self._entries.append(entry)

    def add_first(self, chunks: Iterable[Chunk]) -> None:
        """Let chunks wait before all others, in their order. The taking thread.

        Local.
        """
        self._entries.extendleft(reversed(list(chunks)))

    def next(self) -> Chunk | None:
        """Take the next chunk that is still to be done, if any. The taking thread.

        Local.
        """
        while self._entries:
            entry = self._entries[0]
            chunk = entry if isinstance(entry, Chunk) else entry.cut_off()
            if chunk is entry or chunk is None:
                self._entries.popleft()
            if chunk is not None and chunk.call.begin(chunk):
                return chunk
        return None

    def next_packed(self) -> tuple[Chunk, Payload] | None:
        """Take the next chunk and its items as they are sent. The taking thread. Local.

        An item that cannot be pickled is the error of its task alone.
        """
        while (chunk := self.next()) is not None:
            fine, payload = pack_items(chunk.items, self._dumps)
            if fine:
                return chunk, payload
            if len(chunk.items) > 1:
                self.add_first(apart(chunk))
            else:
                outcome = not_sent(chunk.first, payload)
                chunk.call.take(chunk.first, [outcome], ROOT)
        return None

    def calls(self) -> set[Call[Any] | Submissions]:
        """Return the calls that have something here. Local."""
        return {
            entry if isinstance(entry, Call) else entry.call
            for entry in list(self._entries)
        }


def apart(chunk: Chunk) -> list[Chunk]:
    """Return a chunk as chunks of one task: then one can fail by itself. Local."""
    numbered = enumerate(chunk.items, chunk.first)
    return [Chunk(chunk.call, number, [item]) for number, item in numbered]
