"""Results that are not waited for, as `multiprocessing.pool.AsyncResult` has them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Generic, TypeVar

from mpiapps.comm.pickling import attempt

T = TypeVar("T")
Callback = Callable[[Any], object]


class AsyncResult(Generic[T]):
    """The result of a call of a pool, with the methods of `multiprocessing.pool`.

    Parameters
    ----------
    future : Future
    callback, error_callback : callable, optional
        Called with the result, or with the exception, in the thread that receives
        results: they must not wait for other tasks. What they raise is dropped.
    """

    def __init__(
        self,
        future: Future[T],
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> None:
        self._future = future

        def call_back(done: Future[T]) -> None:
            error = done.exception()
            function = callback if error is None else error_callback
            if function is not None:
                attempt(function, done.result() if error is None else error)

        future.add_done_callback(call_back)

    def get(self, timeout: float | None = None) -> T:
        """Return the result, or raise the exception of the first failed task.

        Raises
        ------
        multiprocessing.TimeoutError
            If it is not there after `timeout` seconds.
        """
        self.wait(timeout)
        if not self._future.done():
            import multiprocessing

            raise multiprocessing.TimeoutError
        return self._future.result()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end of all tasks, at most `timeout` seconds."""
        wait([self._future], timeout)

    def ready(self) -> bool:
        """Return whether all tasks have ended."""
        return self._future.done()

    def successful(self) -> bool:
        """Return whether no task has failed.

        Raises
        ------
        ValueError
            If they have not all ended.
        """
        if not self._future.done():
            raise ValueError("the tasks have not ended: call wait() or get() first")
        return self._future.exception() is None
