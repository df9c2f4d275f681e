"""The futures of a pool's `submit`."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from mpiapps.comm.pickling import Pickled
from mpiapps.tasks.chunk import Chunk
from mpiapps.tasks.chunk_weight import TaskSeconds
from mpiapps.tasks.task import Call, Outcomes, apply, remote_traceback
from mpiapps.tasks.task_future import TaskFuture, set_future


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
    eager = True

    def __init__(self, number: int, pickled: Pickled | None) -> None:
        self.number, self.pickled = number, pickled
        self.sent_to: set[int] = set()  # ranks that have the function
        self.task_seconds = TaskSeconds()
        self._futures: dict[int, Future[Any]] = {}
        self._numbers = itertools.count()
        self._changed = threading.Condition()

    def add(self, item: Any) -> tuple[Chunk, Future[Any]]:
        """Return a chunk of one task, and its future."""
        number = next(self._numbers)
        future = self._futures[number] = TaskFuture[Any]()
        return Chunk(self, number, [item]), future

    def set_running(self, chunk: Chunk) -> bool:
        """Mark a task as running; return False if its future is done.

        It may be cancelled, or the user may have set it.
        """
        future = self._futures[chunk.first]
        if future.running():
            return True
        if future.cancelled() or not future.done():
            with suppress(RuntimeError):  # the user sets it at this moment
                if future.set_running_or_notify_cancel():
                    return True
        self._remove(chunk.first)
        return False

    def items_per_message(self, first: Any) -> int:
        """Return 1: a chunk has one task."""
        del first
        return 1

    def add_items(self, n: int, nbytes: int, *, last: bool) -> bool:
        """Return True: the caller bounds the number of futures."""
        del n, nbytes, last
        return True

    def add_outcomes(
        self, first: int, outcomes: Outcomes, rank: int, nbytes: int = 0
    ) -> None:
        """Set the results of futures, which runs their callbacks."""
        del nbytes
        for number, value in enumerate(outcomes.values, first):
            future = self._futures[number]
            if (failure := outcomes.failures.get(number)) is None:
                set_future(future.set_result, value)
            else:
                cause = remote_traceback(failure, number, rank)
                # As ``raise from`` does, also if the class forbids setting attributes.
                BaseException.__dict__["__cause__"].__set__(failure.error, cause)
                set_future(future.set_exception, failure.error)
            self._remove(number)

    def fail(self, error: BaseException) -> None:
        """Set `error` as the exception of all pending futures."""
        for number, future in list(self._futures.items()):
            if not future.cancelled():
                set_future(future.set_exception, error)
            self._remove(number)

    def _remove(self, number: int) -> None:
        """Forget a future that is done, and whose callbacks have run."""
        with self._changed:
            self._futures.pop(number, None)
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until all futures are done, and their callbacks have run."""
        with self._changed:
            self._changed.wait_for(lambda: not self._futures)

    def cancel(self) -> None:
        """Cancel all futures that are not running."""
        for future in list(self._futures.values()):
            future.cancel()
