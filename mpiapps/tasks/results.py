"""The results of a pool's calls, and the chunks that they are computed in.

The thread that makes a call splits its items into chunks and consumes its results. A
dispatcher sends the chunks for which `set_running` is true to workers, and passes their
outcomes to `add_outcomes`.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from mpiapps.comm.pickling import Pickled, attempt
from mpiapps.tasks.chunker import Chunker
from mpiapps.tasks.task import Call, Failure, Outcome, RemoteTraceback, apply

T = TypeVar("T")
MAX_PENDING_CHUNKS = 64  # per worker, sent before their results are requested


class Chunk(NamedTuple):
    """Consecutive tasks of one call. Root only.

    Attributes
    ----------
    results : MapResult or SubmitResults
        Receives the outcomes.
    first : int
        Number of the first task in its call.
    items : list
        Arguments of the function.
    """

    results: MapResult[Any] | SubmitResults
    first: int
    items: list[Any]


class Dispatcher(Protocol):
    """Sends chunks to workers."""

    def enqueue(self, work: Chunk | MapResult[Any]) -> None:
        """Enqueue a chunk, or all chunks of a call. Any thread."""

    def wait_until_due(self, results: MapResult[Any]) -> None:
        """Wait until results are due. The thread that made the call."""

    def forget(self, results: MapResult[Any]) -> None:
        """Release the state kept for a call that has ended. Any thread."""


class MapResult(Iterator[T], Generic[T]):
    """The results of one call, in order or as completed. Root only.

    Parameters
    ----------
    number : int
        The call's number in its pool.
    call : Call
    pickled : Pickled or None
        The pickled `call`.
    chunker : Chunker
    max_pending : int
        Maximum number of tasks sent before their results are requested; `get` sends
        all.
    ordered : bool
    dispatcher : Dispatcher
    """

    def __init__(  # noqa: PLR0913, PLR0917 - called in one place
        self,
        number: int,
        call: Call,
        pickled: Pickled | None,
        chunker: Chunker,
        max_pending: int,
        ordered: bool,
        dispatcher: Dispatcher,
    ) -> None:
        self.number, self.call, self.pickled = number, call, pickled
        self.sent_to: set[int] = set()  # ranks that have the function
        self.ended = False  # no task is started, and outcomes are dropped
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        self._chunker, self._max_pending, self._ordered = chunker, max_pending, ordered
        self._dispatcher = dispatcher
        self._get_all = self._exhausted = self._any_failed = False
        self._n_chunked = self._n_completed = self._n_returned = 0
        self._error: BaseException | None = None
        self._outcomes: dict[int, tuple[Outcome, int]] = {}
        self._completed: deque[int] = deque()

    # Called by the dispatcher, in any thread.

    def next_chunk(self) -> Chunk | None:
        """Return the next chunk, or None at the end. One thread at a time."""
        if self.ended:
            return None
        if not (items := self._chunker.next()):
            with self.changed:
                self._exhausted = True
                self.changed.notify_all()
            return None
        chunk = Chunk(self, self._n_chunked, items)
        self._n_chunked += len(items)
        return chunk

    def set_running(self, chunk: Chunk) -> bool:
        """Return whether a chunk is still to be executed."""
        del chunk
        return not self.ended

    def add_outcomes(self, first: int, outcomes: list[Outcome], rank: int) -> None:
        """Store the outcomes of tasks from number `first` on."""
        with self._lock:  # much faster than through the condition
            if self.ended:
                return
            for number, outcome in enumerate(outcomes, first):
                self._outcomes[number] = outcome, rank
                if not outcome[0]:
                    self._any_failed = True
            if not self._ordered:
                self._completed.extend(range(first, first + len(outcomes)))
            self._n_completed += len(outcomes)
            if self.is_due():
                self.changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """End the call; waiting for a result raises `error`."""
        with self.changed:
            self._error, self.ended = error, True
            self.changed.notify_all()

    def is_due(self) -> bool:
        """Return whether the calling thread can continue."""
        if self._error is not None:
            return True
        if self._get_all and not self._any_failed:
            return self._exhausted and self._n_completed == self._n_chunked
        return self._is_ready()

    # Called by the thread that made the call.

    def __next__(self) -> T:
        """Return the next result, or raise the task's exception."""
        self._enqueue_chunk()
        while not self._is_ready():
            if self._enqueue_chunk():
                continue
            if self._n_returned == self._n_chunked and self._exhausted:
                self._raise_end()
            if self._error is not None:
                raise self._error
            self._dispatcher.wait_until_due(self)
        number = self._n_returned if self._ordered else self._completed.popleft()
        (ok, value), rank = self._outcomes.pop(number)
        self._n_returned += 1
        if ok:
            result: T = value
            return result
        failure: Failure = value
        raise failure.error from remote_traceback(failure, number, rank)

    def get(self) -> list[T]:
        """Return all results, or raise the exception of the first failed task."""
        self._get_all = True
        self._dispatcher.enqueue(self)
        try:
            return list(self)
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Start no more tasks and drop outstanding results."""
        if self.ended:
            return
        with self.changed:
            self.ended = self._exhausted = True
            self._n_returned = self._n_chunked
            self._outcomes.clear()
            self._completed.clear()
        self._dispatcher.forget(self)

    def _is_ready(self) -> bool:
        if self._ordered:
            return self._n_returned in self._outcomes
        return bool(self._completed)

    def _enqueue_chunk(self) -> bool:
        """Enqueue a chunk if `max_pending` allows it; return whether it did."""
        enough = (
            self._get_all or self._n_chunked - self._n_returned >= self._max_pending
        )
        if enough or self._exhausted or self.ended:
            return False
        if (chunk := self.next_chunk()) is None:
            return False
        try:
            self._dispatcher.enqueue(chunk)
        except BaseException as error:
            self.fail(error)
            raise
        return True

    def _raise_end(self) -> None:
        """Raise the exception of the items, if any, or `StopIteration`."""
        error, self._chunker.error = self._chunker.error, None
        self.cancel()
        if error is not None:
            raise error
        raise StopIteration


def remote_traceback(failure: Failure, number: int, rank: int) -> RemoteTraceback:
    """Return the cause of a task's exception."""
    return RemoteTraceback(f"task {number} on rank {rank}:\n{failure.text}", number)


class SubmitResults:
    """The futures of `submit`: one call with an unlimited number of tasks. Root only.

    Parameters
    ----------
    number : int
        The call's number in its pool.
    pickled : Pickled or None
        The pickled `call`.
    """

    call = Call(apply, "star")
    ended = False

    def __init__(self, number: int, pickled: Pickled | None) -> None:
        self.number, self.pickled = number, pickled
        self.sent_to: set[int] = set()  # ranks that have the function
        self._futures: dict[int, Future[Any]] = {}
        self._numbers = itertools.count()

    def add(self, item: Any) -> tuple[Chunk, Future[Any]]:
        """Return a chunk of one task, and its future."""
        number = next(self._numbers)
        future = self._futures[number] = Future()
        return Chunk(self, number, [item]), future

    def set_running(self, chunk: Chunk) -> bool:
        """Mark a task as running; return False if it was cancelled."""
        future = self._futures[chunk.first]
        if future.running() or future.set_running_or_notify_cancel():
            return True
        del self._futures[chunk.first]
        return False

    def add_outcomes(self, first: int, outcomes: list[Outcome], rank: int) -> None:
        """Set the results of futures, which runs their callbacks."""
        for number, (ok, value) in enumerate(outcomes, first):
            future = self._futures.pop(number)
            if ok:
                _set_future(future.set_result, value)
                continue
            cause = remote_traceback(value, number, rank)
            # As ``raise from`` does, also if the class forbids setting attributes.
            BaseException.__dict__["__cause__"].__set__(value.error, cause)
            _set_future(future.set_exception, value.error)

    def fail(self, error: BaseException) -> None:
        """Set `error` as the exception of all pending futures."""
        while self._futures:
            _, future = self._futures.popitem()
            if not future.cancelled():
                _set_future(future.set_exception, error)

    def wait(self) -> None:
        """Wait until all futures are done."""
        wait(list(self._futures.values()))

    def cancel(self) -> None:
        """Cancel all futures that are not running."""
        for future in list(self._futures.values()):
            future.cancel()


def _set_future(setter: Callable[[Any], None], value: Any) -> None:
    """Set a result or an exception; drop exceptions of callbacks."""
    with suppress(InvalidStateError):  # the user has set it
        attempt(setter, value)
