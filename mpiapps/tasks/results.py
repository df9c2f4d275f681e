"""The results of a pool's calls, and the chunks that they are computed in.

The thread that makes a call splits its items into chunks and consumes its results. A
dispatcher sends the chunks for which `set_running` is true to workers, and passes their
outcomes to `add_outcomes`.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from time import monotonic
from typing import Any, Generic, TypeVar

from mpiapps.comm.pickling import Pickled
from mpiapps.tasks.chunk import Chunk
from mpiapps.tasks.chunk_weight import TaskSeconds
from mpiapps.tasks.chunker import Chunker
from mpiapps.tasks.dispatcher import Dispatcher
from mpiapps.tasks.pending_memory import PendingMemory
from mpiapps.tasks.task import Call, Failure, Outcomes, remote_traceback
from mpiapps.tasks.task_future import TaskFuture, set_future

T = TypeVar("T")


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
    memory : PendingMemory
        Which tasks are sent before their results are requested; `get` sends all.
    ordered : bool
    dispatcher : Dispatcher
    """

    def __init__(  # noqa: PLR0913, PLR0917 - called in one place
        self,
        number: int,
        call: Call,
        pickled: Pickled | None,
        chunker: Chunker,
        memory: PendingMemory,
        ordered: bool,
        dispatcher: Dispatcher,
    ) -> None:
        self.number, self.call, self.pickled = number, call, pickled
        self.sent_to: set[int] = set()  # ranks that have the function
        self.task_seconds = TaskSeconds()
        self.ended = False  # no task is started, and outcomes are dropped
        self._lock = threading.RLock()
        self._turn = threading.RLock()  # of one of the threads that share the iterator
        self.changed = threading.Condition(self._lock)
        self.called_back = threading.Event()  # the callbacks of the future have run
        self._chunker, self._memory, self._ordered = chunker, memory, ordered
        self._dispatcher = dispatcher
        self._get_all = self._exhausted = self._any_failed = False
        self._future: Future[list[T]] | None = None
        self._n_chunked = self._n_completed = self._n_returned = 0
        self._error: BaseException | None = None
        self._results: dict[int, list[Any]] = {}  # of chunks, while none has failed
        self._outcomes: dict[int, tuple[Any, Failure | None, int]] = {}
        self._completed: deque[int] = deque()

    def next_chunk(self) -> Chunk | None:
        """Return the next chunk, or None at the end. One thread at a time."""
        if self.ended:
            return None
        if not (items := self._chunker.next()):
            with self.changed:
                self._exhausted = True
                self.changed.notify_all()
            self._finish()
            return None
        chunk = Chunk(self, self._n_chunked, items)
        self._n_chunked += len(items)
        return chunk

    def set_running(self, chunk: Chunk) -> bool:
        """Return whether a chunk is still to be executed."""
        del chunk
        return not self.ended

    @property
    def eager(self) -> bool:
        """Whether tasks are executed though nobody waits for them."""
        return self._future is not None

    def items_per_message(self, first: Any) -> int:
        """Return how many items to send together, given the first one."""
        return self._memory.items_per_message(first)

    def add_items(self, n: int, nbytes: int, *, last: bool) -> bool:
        """Note the bytes of `n` items; return whether to send them together."""
        return self._memory.items.add(n, nbytes, last=last)

    @property
    def has_length(self) -> bool:
        """Whether the items have a length: the next one is there without a wait."""
        return self._chunker.has_length

    def add_outcomes(
        self, first: int, outcomes: Outcomes, rank: int, nbytes: int = 0
    ) -> None:
        """Store the outcomes of tasks from number `first` on, which have `nbytes`."""
        values, failures = outcomes
        with self._lock:  # much faster than through the condition
            if self.ended:
                return
            self._memory.results.add(len(values), nbytes)
            if failures and not self._any_failed:
                self._any_failed = True
                self._store_chunks()
            if self._get_all and not self._any_failed:
                self._results[first] = values
            else:
                self._store(first, values, failures, rank)
            self._n_completed += len(values)
            if self.is_due():
                self.changed.notify_all()
        self._finish()

    def _store(
        self, first: int, values: list[Any], failures: dict[int, Failure], rank: int
    ) -> None:
        """Store outcomes for `__next__`."""
        for number, value in enumerate(values, first):
            self._outcomes[number] = value, failures.get(number), rank
        if not self._ordered:
            self._completed.extend(range(first, first + len(values)))

    def _store_chunks(self) -> None:
        """Store the results of chunks for `__next__`."""
        results, self._results = self._results, {}
        for first, values in results.items():
            self._store(first, values, {}, 0)

    def _all(self) -> list[T]:
        """Return all results, or raise the exception of the first failed task."""
        with self._lock:
            error = self._error if self._error is not None else self._chunker.error
            is_good = error is None and not self._any_failed
            if is_good and self._has_all():
                chunks = [values for _, values in sorted(self._results.items())]
                return list(itertools.chain.from_iterable(chunks))
            self._store_chunks()
        return list(self)

    def fail(self, error: BaseException) -> None:
        """End the call; waiting for a result raises `error`."""
        with self.changed:
            self._error, self.ended = error, True
            self.changed.notify_all()
        self._finish()

    def _finish(self) -> None:
        """Set the future, if there is one and no task is left."""
        future, has_failed = self._future, self._error is not None
        if future is None or future.done() or not (has_failed or self._has_all()):
            return
        setter: Callable[[Any], None] = future.set_result
        try:
            outcome: Any = self._all()
        except Exception as error:
            setter, outcome = future.set_exception, error
        self.cancel()
        set_future(setter, outcome)
        self.called_back.set()

    def _has_all(self) -> bool:
        return self._exhausted and self._n_completed == self._n_chunked

    def is_due(self) -> bool:
        """Return whether the calling thread can continue."""
        if self._error is not None:
            return True
        if self._get_all and not self._any_failed:
            return self._has_all()
        return self._is_ready()

    def __next__(self) -> T:
        """Return the next result, or raise the task's exception. Any thread."""
        return self.next()

    def next(self, timeout: float | None = None) -> T:
        """Return the next result, as ``next()`` of an iterator. Any thread.

        Raises `multiprocessing.TimeoutError` if there is none after `timeout` seconds;
        a single rank executes the task, however long that takes.
        """
        left = math.inf if timeout is None else max(0.0, timeout)
        end = monotonic() + left
        if not self._turn.acquire(blocking=False):
            self._dispatcher.check_thread()
            if not self._turn.acquire(timeout=-1 if end == math.inf else left):
                raise multiprocessing.TimeoutError
        try:
            return self._next(end)
        finally:
            self._turn.release()

    def _next(self, end: float) -> T:
        is_late = False
        if self._enqueue_chunk():  # two for one result, until the limit is reached
            self._enqueue_chunk()
        while not self._is_ready():
            if self._enqueue_chunk():
                continue
            if self._n_returned == self._n_chunked and self._exhausted:
                self._raise_end()
            if self._error is not None:
                raise self._error
            if is_late:
                raise multiprocessing.TimeoutError
            self._dispatcher.wait_until_due(self, end)
            is_late = monotonic() >= end
        number = self._n_returned if self._ordered else self._completed.popleft()
        value, failure, rank = self._outcomes.pop(number)
        self._n_returned += 1
        if failure is None:
            result: T = value
            return result
        raise failure.error from remote_traceback(failure, number, rank)

    def get(self) -> list[T]:
        """Return all results, or raise the exception of the first failed task."""
        self._get_all = True
        self._dispatcher.enqueue(self)
        try:
            self._dispatcher.wait_until_due(self)
            return self._all()
        finally:
            self.cancel()

    def start(self) -> Future[list[T]]:
        """Send all tasks; return the future of what `get` returns.

        It is set when all tasks have ended, also if one has failed.
        """
        self._future, self._get_all = TaskFuture(), True
        self._future.set_running_or_notify_cancel()
        self._dispatcher.enqueue(self)
        return self._future

    def cancel(self) -> None:
        """Start no more tasks and drop outstanding results."""
        if self.ended:
            return
        with self.changed:
            self.ended = self._exhausted = True
            self._n_returned = self._n_chunked
            for kept in (self._outcomes, self._completed, self._results):
                kept.clear()
        self._dispatcher.forget(self)

    def __del__(self) -> None:
        """Let the workers release the function of an iterator that was dropped."""
        if getattr(self, "sent_to", ()) and not self.ended:
            self._dispatcher.forget(self)

    def _is_ready(self) -> bool:
        if self._ordered:
            return self._n_returned in self._outcomes
        return bool(self._completed)

    def _enqueue_chunk(self) -> bool:
        """Enqueue a chunk if the memory allows it; return whether it did."""
        if self._get_all or self._exhausted or self.ended:
            return False
        if not self._memory.allows(self._n_chunked - self._n_returned):
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
