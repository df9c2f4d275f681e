"""The queue of a pool's calls, and how it is closed."""

from __future__ import annotations

import math
import pickle
import threading
import time
from abc import ABC, abstractmethod
from typing import Any

from mpiapps.comm.pickling import Dumps
from mpiapps.tasks.chunk import Chunk
from mpiapps.tasks.results import MapResult
from mpiapps.tasks.submitted import SubmitResults
from mpiapps.tasks.task_queue import ChunkQueue


class ClosablePool(ABC):
    """The queue of a pool, with the `close` of `multiprocessing.Pool`. Root only."""

    def __init__(self, dumps: Dumps = pickle.dumps) -> None:
        self._dumps, self._queue = dumps, ChunkQueue(dumps)
        self._submitted: SubmitResults | None = None
        self._started: set[MapResult[Any]] = set()  # the calls of `map_async`
        self._receiver: threading.Thread | None = None  # receives results
        self._closed: RuntimeError | None = None  # raised by new calls
        self._ended: RuntimeError | None = None  # raised by running calls, too

    @abstractmethod
    def _dispatch(self) -> None:
        """Send chunks of the queue to workers with free capacity. Any thread."""

    def enqueue(self, work: Chunk | MapResult[Any]) -> None:
        """Enqueue a chunk, or all chunks of a call. Any thread."""
        if self._ended is not None:
            raise self._ended
        self._queue.add(work)
        self._dispatch()

    def close(self) -> None:
        """Accept no more calls; the running ones end, also iterators."""
        if self._closed is None:
            self._closed = RuntimeError("the pool is closed: create a new pool")

    def terminate(self) -> None:
        """Accept no more calls, and drop the tasks that have not been sent."""
        self._end(RuntimeError("the pool was terminated: create a new pool"))
        self._drop_eager()

    def join(self) -> None:
        """Wait for the tasks of `submit` and the ``async`` methods, and for callbacks.

        Raises
        ------
        ValueError
            If the pool has not been closed.
        """
        if self._closed is None:
            raise ValueError(
                "the pool accepts calls: call close() or terminate() before join()"
            )
        if self._submitted is not None:
            self._submitted.wait()
        for results in self._started:
            results.called_back.wait()

    def _check_open(self) -> None:
        """Raise `RuntimeError` if the pool accepts no calls."""
        if self._closed is not None:
            raise self._closed

    def _leave(self) -> None:
        """Accept no more calls; fail those that are queued, unless they are eager."""
        self._end(
            RuntimeError(
                "the pool is closed, as its `with` block was left: create a new pool"
            )
        )

    def _end(self, error: RuntimeError) -> None:
        """Let all calls raise `error`, but the eager ones, as `submit` is."""
        self._closed = self._ended = error
        self._fail_queued(error, eager=False)

    def _drop_eager(self) -> None:
        """Cancel the tasks of `submit`, and fail the other eager calls in the queue."""
        if self._submitted is not None:
            self._submitted.cancel()
        if self._ended is not None:
            self._fail_queued(self._ended, eager=True)

    def _fail_queued(self, error: BaseException, *, eager: bool) -> None:
        """Fail the calls that are queued and eager, as `submit` is, or not."""
        for results in self._queue.results() - {self._submitted}:
            if results.eager is eager:
                results.fail(error)

    def wait_until_due(self, results: MapResult[Any], end: float = math.inf) -> None:
        """Wait until results are due, or until the time `end` of `time.monotonic`."""
        self.check_thread()
        seconds = None if end == math.inf else max(0.0, end - time.monotonic())
        with results.changed:
            results.changed.wait_for(results.is_due, seconds)

    def check_thread(self) -> None:
        """Raise `RuntimeError` in the thread that receives results."""
        if threading.current_thread() is self._receiver:
            raise RuntimeError(
                "a callback of a future cannot wait for other tasks: it runs in the"
                " thread that receives their results"
            )

    def forget(self, results: MapResult[Any]) -> None:
        """Release the state kept for a call that has ended. Any thread."""
        del results
