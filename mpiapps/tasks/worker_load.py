"""The chunks that each worker has, and the least and most loaded workers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from mpiapps.tasks.chunk import Chunk


class WorkerLoad:
    """The chunks of each worker. Root only.

    The cost of each method but `most_loaded` and `find` does not depend on the number
    of workers.

    Parameters
    ----------
    ranks : iterable of int
        The workers.
    """

    def __init__(self, ranks: Iterable[int]) -> None:
        self._chunks: dict[int, dict[tuple[int, int], tuple[Chunk, int]]] = {
            rank: {} for rank in ranks
        }
        self._weights = dict.fromkeys(self._chunks, 0)
        # Ranks by weight, in the order in which they reached it.
        self._levels: defaultdict[int, dict[int, None]] = defaultdict(dict)
        self._levels[0] = dict.fromkeys(self._chunks)
        self._lowest = 0  # no rank has a lower weight
        self._n = 0

    def __bool__(self) -> bool:
        """Return whether a worker has a chunk."""
        return self._n > 0

    def __len__(self) -> int:
        """Return the number of workers."""
        return len(self._chunks)

    @property
    def ranks(self) -> Collection[int]:
        """Return the workers."""
        return self._chunks.keys()

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks of all workers."""
        for chunks in self._chunks.values():
            yield from (chunk for chunk, _ in chunks.values())

    def least_loaded(self, below: int) -> int | None:
        """Return the rank of the lowest weight, if that is less than `below`."""
        while self._lowest < below:
            if ranks := self._levels[self._lowest]:
                return next(iter(ranks))
            self._lowest += 1
        return None

    def most_loaded(self, exclude: Collection[int]) -> int | None:
        """Return the rank of the most tasks, if it has 2 or more. Reads all workers."""
        max_tasks, most_loaded = 1, None  # one is running
        for rank, chunks in self._chunks.items():
            n = sum(len(chunk.items) for chunk, _ in chunks.values())
            if n > max_tasks and rank not in exclude:
                max_tasks, most_loaded = n, rank
        return most_loaded

    def add(self, rank: int, chunk: Chunk, weight: int) -> None:
        """Add a chunk to a worker; `weight`: 1 or more."""
        self._chunks[rank][chunk.results.number, chunk.first] = chunk, weight
        self._n += 1
        self._add_weight(rank, weight)

    def remove(self, rank: int, key: tuple[int, int]) -> tuple[Chunk, int]:
        """Remove a chunk from a worker; return it, and its weight.

        `key`: call and first task.
        """
        chunk, weight = self._chunks[rank].pop(key)
        self._n -= 1
        self._add_weight(rank, -weight)
        return chunk, weight

    def find(self, rank: int, call_number: int, task: int) -> Chunk:
        """Return the chunk of a worker that contains a task. Reads its chunks."""
        for chunk, _ in self._chunks[rank].values():
            same_call = chunk.results.number == call_number
            if same_call and chunk.first <= task < chunk.first + len(chunk.items):
                return chunk
        raise LookupError(f"rank {rank} has no task {task} of call {call_number}")

    def remove_worker(self, rank: int) -> list[Chunk]:
        """Remove a worker and return its chunks."""
        chunks = self._chunks.pop(rank, {})
        self._n -= len(chunks)
        self._levels[self._weights.pop(rank, 0)].pop(rank, None)
        return [chunk for chunk, _ in chunks.values()]

    def _add_weight(self, rank: int, change: int) -> None:
        old = self._weights[rank]
        del self._levels[old][rank]
        self._weights[rank] = new = old + change
        self._levels[new][rank] = None
        self._lowest = min(self._lowest, new)
