"""The calls of `mpiapps.comm.tasks`: their items cut into chunks, their results.

The thread that makes a call cuts its items into chunks and takes its results; whatever
carries the tasks asks `begin` of a chunk, and brings its outcomes by `take`.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from mpiapps.comm.packing import Packed, attempt
from mpiapps.comm.task import Failure, How, Outcome, RemoteTraceback, apply
from mpiapps.comm.task_cut import Cut

T = TypeVar("T")
AHEAD = 64  # chunks for each worker that may be done before they are asked for


class Chunk(NamedTuple):
    """Some neighbouring tasks of one call. Root only.

    Attributes
    ----------
    call : Call or Submissions
        Takes the outcomes.
    first : int
        Number of the first task in its call.
    items : list
        What the function is called with.
    """

    call: Call[Any] | Submissions
    first: int
    items: list[Any]


class Carrier(Protocol):
    """What brings chunks to workers. Local."""

    def offer(self, work: Chunk | Call[Any]) -> None:
        """Hand out a chunk, or all of a call, as workers have room. Any thread.

        Local.
        """

    def await_change(self, call: Call[Any]) -> None:
        """Return when a call is `due`. The thread that made it. Local."""

    def forget(self, call: Call[Any]) -> None:
        """Drop what is kept for a call that has ended. Any thread. Local."""


class Call(Iterator[T], Generic[T]):
    """One call's results, in order or as they come. Root only.

    Parameters
    ----------
    number : int
    how : How
    packed : Packed or None
        The function, as it is sent.
    cut : Cut
    ahead : int
        Tasks that may be begun before their results are asked for; not for `whole`.
    ordered : bool
    carrier : Carrier
    """

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place
        self,
        number: int,
        how: How,
        packed: Packed | None,
        cut: Cut,
        ahead: int,
        ordered: bool,
        carrier: Carrier,
    ) -> None:
        self.number, self.how, self.packed = number, how, packed
        self.known: set[int] = set()  # ranks that have the function
        self.ended = False  # nothing more is begun, and what comes is dropped
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        self._cut, self._ahead, self._ordered = cut, ahead, ordered
        self._carrier = carrier
        self._whole = self._drawn_all = self._failed = False
        self._drawn = self._arrived = self._taken = 0
        self._error: BaseException | None = None
        self._done: dict[int, tuple[Outcome, int]] = {}
        self._came: deque[int] = deque()

    # By whatever carries the tasks; any thread.

    def cut_off(self) -> Chunk | None:
        """Return the next chunk; ``None`` at the end. One thread at a time. Local."""
        if self.ended:
            return None
        if not (items := self._cut.next()):
            with self.changed:
                self._drawn_all = True
                self.changed.notify_all()
            return None
        chunk = Chunk(self, self._drawn, items)
        self._drawn += len(items)
        return chunk

    def begin(self, chunk: Chunk) -> bool:
        """Return whether a chunk is still to be done. Local."""
        del chunk
        return not self.ended

    def take(self, first: int, outcomes: list[Outcome], rank: int) -> None:
        """Keep the outcomes of tasks from `first` on. Local."""
        with self._lock:  # in a fraction of the time of the condition's own
            if self.ended:
                return
            for number, outcome in enumerate(outcomes, first):
                self._done[number] = outcome, rank
                if not outcome[0]:
                    self._failed = True
            if not self._ordered:
                self._came.extend(range(first, first + len(outcomes)))
            self._arrived += len(outcomes)
            if self.due():
                self.changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Let the call raise an error where it would wait for a result. Local."""
        with self.changed:
            self._error, self.ended = error, True
            self.changed.notify_all()

    def due(self) -> bool:
        """Return whether the calling thread has something to do. Local."""
        if self._error is not None:
            return True
        if self._whole and not self._failed:
            return self._drawn_all and self._arrived == self._drawn
        return self._ready()

    # By the thread that made the call.

    def __next__(self) -> T:
        """Return the next result, or raise the task's error."""
        self._draw()
        while not self._ready():
            if self._draw():
                continue
            if self._taken == self._drawn and self._drawn_all:
                self._raise_end()
            if self._error is not None:
                raise self._error
            self._carrier.await_change(self)
        number = self._taken if self._ordered else self._came.popleft()
        (fine, value), rank = self._done.pop(number)
        self._taken += 1
        if fine:
            result: T = value
            return result
        failure: Failure = value
        raise failure.error from remote(failure, number, rank)

    def whole(self) -> list[T]:
        """Return all results, or raise the error of the first task that failed.

        Local.
        """
        self._whole = True
        self._carrier.offer(self)
        try:
            return list(self)
        finally:
            self.end()

    def end(self) -> None:
        """Begin nothing more, and drop what still comes. Local."""
        if self.ended:
            return
        with self.changed:
            self.ended = self._drawn_all = True
            self._taken = self._drawn
            self._done.clear()
            self._came.clear()
        self._carrier.forget(self)

    def _ready(self) -> bool:
        return self._taken in self._done if self._ordered else bool(self._came)

    def _draw(self) -> bool:
        """Offer a chunk, if one may be begun; return whether there was one."""
        enough = self._whole or self._drawn - self._taken >= self._ahead
        if enough or self._drawn_all or self.ended:
            return False
        if (chunk := self.cut_off()) is None:
            return False
        try:
            self._carrier.offer(chunk)
        except BaseException as error:
            self.fail(error)
            raise
        return True

    def _raise_end(self) -> None:
        """Raise what the items raised, after the results before it; or end."""
        error, self._cut.error = self._cut.error, None
        self.end()
        if error is not None:
            raise error
        raise StopIteration


def remote(failure: Failure, number: int, rank: int) -> RemoteTraceback:
    """Return the cause of a task's error. Local."""
    return RemoteTraceback(f"task {number} on rank {rank}:\n{failure.text}", number)


class Submissions:
    """The tasks of `submit`, each with its future: one call that has no end. Root only.

    Parameters
    ----------
    number : int
    packed : callable
        Returns `how` as it is sent.
    """

    how = How(apply, "star")
    ended = False

    def __init__(self, number: int, packed: Packed | None) -> None:
        self.number, self.packed = number, packed
        self.known: set[int] = set()
        self._futures: dict[int, Future[Any]] = {}
        self._numbers = itertools.count()

    def add(self, item: Any) -> tuple[Chunk, Future[Any]]:
        """Return a chunk of one task, and its future. Local."""
        number = next(self._numbers)
        future = self._futures[number] = Future()
        return Chunk(self, number, [item]), future

    def begin(self, chunk: Chunk) -> bool:
        """Return whether the task is to be done: not if it was cancelled. Local."""
        future = self._futures[chunk.first]
        if future.running() or future.set_running_or_notify_cancel():
            return True
        del self._futures[chunk.first]
        return False

    def take(self, first: int, outcomes: list[Outcome], rank: int) -> None:
        """Set the results of futures; their callbacks run now. Local."""
        for number, (fine, value) in enumerate(outcomes, first):
            future = self._futures.pop(number)
            if fine:
                _settle(future.set_result, value)
                continue
            cause = remote(value, number, rank)
            # As ``raise from`` does it, whatever attributes the class allows.
            BaseException.__dict__["__cause__"].__set__(value.error, cause)
            _settle(future.set_exception, value.error)

    def fail(self, error: BaseException) -> None:
        """Set an error for all futures that are not done. Local."""
        while self._futures:
            _, future = self._futures.popitem()
            if not future.cancelled():
                _settle(future.set_exception, error)

    def wait(self) -> None:
        """Return when all futures are done. Local."""
        wait(list(self._futures.values()))

    def cancel(self) -> None:
        """Cancel all that was not begun. Local."""
        for future in list(self._futures.values()):
            future.cancel()


def _settle(settle: Callable[[Any], None], value: Any) -> None:
    """Set a future; what a callback raises is not the pool's to suffer. Local."""
    with suppress(InvalidStateError):  # somebody else has set it
        attempt(settle, value)
