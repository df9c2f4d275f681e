"""The calls of `mpiapps.comm.tasks`: their items cut into chunks, their results."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Future
from functools import cached_property
from typing import Any, Generic, TypeVar

from mpiapps.comm.task import Chunk, How, Outcome, RemoteTraceback, TaskError

T = TypeVar("T")
POISON = 3  # ranks killed while they did a chunk, which is then given to none
GUIDED = "guided"
ROUNDS = 4  # of chunks for each worker that items are cut into, as Pool.map does
AHEAD = 64  # chunks for each worker that may be done before they are asked for


class Cut:
    """Cuts items into chunks, as they are asked for. Local.

    Parameters
    ----------
    items : iterable
    size : int, "guided" or None
        Of a chunk; a share of what is left; or a quarter of a worker's share.
    workers : int

    Raises
    ------
    ValueError
        If the size is not one of these, or needs a length that the items do not have.
    """

    def __init__(
        self, items: Iterable[Any], size: int | str | None, workers: int
    ) -> None:
        self._left = len(items) if isinstance(items, Sized) else None
        if size in (None, GUIDED) and self._left is None:
            raise ValueError(f"chunksize {size!r} needs items with a length")
        if size is None:
            size = max(1, -(-(self._left or 0) // (ROUNDS * workers)))
        if size != GUIDED and (isinstance(size, str) or size < 1):
            raise ValueError(f"chunksize {size!r} must be 1 or more, or {GUIDED!r}")
        self.size, self._workers = size, workers
        self._items = iter(items)

    def next(self) -> list[Any]:
        """Return the next items; none at the end. Local."""
        size = self.size
        if isinstance(size, str):  # half of an equal share of what is left
            size = max(1, (self._left or 0) // (2 * self._workers))
        found = list(itertools.islice(self._items, size))
        if self._left is not None:
            self._left -= len(found)
        return found


class Call(Iterator[T], Generic[T]):
    """One call's results, in order or as they come. Root only.

    Parameters
    ----------
    number : int
    how : How
    cut : Cut
    ahead : int
        Tasks that may be begun before their results are asked for.
    advance : callable
        Lets the work go on: returns when a result came, or there is nothing to do.
    ordered : bool
    """

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place
        self,
        number: int,
        how: How,
        cut: Cut,
        ahead: int,
        advance: Callable[[], None],
        ordered: bool,
    ) -> None:
        self.number, self.how = number, how
        self.known: set[int] = set()  # ranks that have the function
        self._cut, self._ahead = cut, ahead
        self._advance, self._ordered = advance, ordered
        self._begun = self._taken = 0
        self._ended = False
        self._done: dict[int, tuple[Outcome, int]] = {}
        self._came: deque[int] = deque()
        self._again: list[Chunk] = []

    @cached_property
    def pickled(self) -> bytes:
        """The function and how it is called, as bytes. Local."""
        return pickle.dumps(self.how, protocol=5)

    def next_chunk(self) -> Chunk | None:
        """Return the next chunk, or ``None`` if none is to be begun now. Local."""
        if self._again:
            return self._again.pop()
        if self._ended or self._begun - self._taken >= self._ahead:
            return None
        items = self._cut.next()
        self._ended = not items
        if self._ended:
            return None
        chunk = Chunk(self.number, self._begun, items)
        self._begun += len(items)
        return chunk

    def again(self, chunk: Chunk) -> None:
        """Give a chunk out once more. Local."""
        self._again.append(chunk)

    def take(self, first: int, outcomes: list[Outcome], rank: int) -> None:
        """Keep the outcomes of a chunk. Local."""
        for number, outcome in enumerate(outcomes, first):
            self._done[number] = outcome, rank
            if not self._ordered:
                self._came.append(number)

    def ready(self) -> bool:
        """Return whether the next result is here. Local."""
        return self._taken in self._done if self._ordered else bool(self._came)

    def through(self) -> bool:
        """Return whether all results were taken. Local."""
        return self._ended and self._taken == self._begun

    def __next__(self) -> T:
        """Return the next result, or raise the task's error."""
        while not self.ready():
            if self.through():
                raise StopIteration
            self._advance()
        number = self._taken if self._ordered else self._came.popleft()
        (fine, value), rank = self._done.pop(number)
        self._taken += 1
        if fine:
            found: T = value
            return found
        error, text = value
        where = f"task {number} on rank {rank}:\n{text}"
        raise error from RemoteTraceback(where, number)

    def end(self) -> None:
        """Begin nothing more, and drop what still comes. Local."""
        self._ended, self._taken = True, self._begun
        self._done.clear()
        self._came.clear()
        self._again.clear()


class Awaited(Future[T]):
    """A future of a call of one task, whose waiting does the root's work. Root only.

    There is no other thread: a `timeout` is not looked at, and callbacks run when the
    result is asked for.
    """

    def __init__(self, call: Call[T], advance: Callable[[], None]) -> None:
        super().__init__()
        self._call, self._advance = call, advance

    def done(self) -> bool:
        """Return whether the result has come. Root only; local."""
        self._settle()
        return super().done()

    def result(self, timeout: float | None = None) -> T:
        """Return the result, or raise the task's error. Root only."""
        self._await()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the task's error, or ``None``. Root only."""
        self._await()
        return super().exception(timeout)

    def _await(self) -> None:
        while not self.done():
            self._advance()

    def _settle(self) -> None:
        if super().done() or not self._call.ready():
            return
        try:
            self.set_result(next(self._call))
        except Exception as error:
            self.set_exception(error)


def give_back(
    chunks: Iterable[Chunk],
    rank: int,
    calls: Mapping[int, Call[Any]],
    killed: Counter[tuple[int, int]],
) -> None:
    """Let the chunks of a killed rank be given out again; not one that ends them all.

    Root only. `killed`: how many ranks each chunk has ended.
    """
    for chunk in chunks:
        key = chunk.call, chunk.first
        killed[key] += 1
        call = calls.get(chunk.call)
        if call is None:
            continue
        if killed[key] < POISON:
            call.again(chunk)
            continue
        told = TaskError(f"{POISON} ranks were killed while they did it")
        call.take(chunk.first, [(False, (told, ""))] * len(chunk.items), rank)


def freest(held: Mapping[int, Sized]) -> int:
    """Return the rank that has least. Local."""
    return min(held, key=lambda rank: len(held[rank]))
