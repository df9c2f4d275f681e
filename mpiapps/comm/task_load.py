"""Which chunks each worker has: who has least, who has most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from mpiapps.comm.task_calls import Chunk


class Load:
    """The chunks that each worker has. Root only.

    Each method but `fullest` and `find` takes a time that does not depend on the number
    of workers. It is true while a worker has a chunk.

    Parameters
    ----------
    ranks : iterable of int
        The workers.
    """

    def __init__(self, ranks: Iterable[int]) -> None:
        self._held: dict[int, dict[tuple[int, int], tuple[Chunk, int]]] = {
            rank: {} for rank in ranks
        }
        self._weights = dict.fromkeys(self._held, 0)
        # Ranks by weight, in the order in which they came to it.
        self._levels: defaultdict[int, dict[int, None]] = defaultdict(dict)
        self._levels[0] = dict.fromkeys(self._held)
        self._lowest = 0  # no level below it has a rank
        self._n = 0

    def __bool__(self) -> bool:
        """Return whether a worker has a chunk."""
        return self._n > 0

    def __len__(self) -> int:
        """Return the number of workers."""
        return len(self._held)

    @property
    def ranks(self) -> Collection[int]:
        """Return the workers."""
        return self._held.keys()

    def chunks(self) -> Iterator[Chunk]:
        """Yield all chunks. Local."""
        for held in self._held.values():
            yield from (chunk for chunk, _ in held.values())

    def freest(self, below: int) -> int | None:
        """Return a rank that has least, and less than `below`; or ``None``. Local."""
        while self._lowest < below:
            if ranks := self._levels[self._lowest]:
                return next(iter(ranks))
            self._lowest += 1
        return None

    def fullest(self, without: Collection[int]) -> int | None:
        """Return the rank that has most tasks not begun, if any. Reads all workers.

        Local.
        """
        most, fullest = 1, None  # one is being done
        for rank, held in self._held.items():
            n = sum(len(chunk.items) for chunk, _ in held.values())
            if n > most and rank not in without:
                most, fullest = n, rank
        return fullest

    def add(self, rank: int, chunk: Chunk, weight: int) -> None:
        """Let a rank have a chunk that counts as `weight`. Local."""
        self._held[rank][chunk.call.number, chunk.first] = chunk, weight
        self._n += 1
        self._weigh(rank, weight)

    def remove(self, rank: int, key: tuple[int, int]) -> Chunk:
        """Return a chunk that a rank has no longer. Local."""
        chunk, weight = self._held[rank].pop(key)
        self._n -= 1
        self._weigh(rank, -weight)
        return chunk

    def find(self, rank: int, call: int, number: int) -> Chunk:
        """Return the chunk of a rank that has a task. Reads its chunks. Local."""
        for chunk, _ in self._held[rank].values():
            same = chunk.call.number == call
            if same and chunk.first <= number < chunk.first + len(chunk.items):
                return chunk
        raise LookupError(f"rank {rank} has no task {number} of call {call}")

    def lose(self, rank: int) -> list[Chunk]:
        """Return the chunks of a rank that is no longer there. Local."""
        held = self._held.pop(rank, {})
        self._n -= len(held)
        self._levels[self._weights.pop(rank, 0)].pop(rank, None)
        return [chunk for chunk, _ in held.values()]

    def _weigh(self, rank: int, change: int) -> None:
        old = self._weights[rank]
        del self._levels[old][rank]
        self._weights[rank] = new = old + change
        self._levels[new][rank] = None
        self._lowest = min(self._lowest, new)
