"""The methods of a pool of workers, which may be ranks or workers of Dask."""

from __future__ import annotations

import itertools
import pickle
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from mpiapps.comm.pickling import Dumps, Pickled
from mpiapps.tasks.async_result import AsyncResult, Callback
from mpiapps.tasks.by_value import sendable
from mpiapps.tasks.chunker import Chunker
from mpiapps.tasks.closable_pool import ClosablePool
from mpiapps.tasks.limits import task_limit
from mpiapps.tasks.pending_memory import MAX_PENDING_CHUNKS, PendingMemory
from mpiapps.tasks.results import MapResult
from mpiapps.tasks.submitted import SubmitResults
from mpiapps.tasks.task import Call

T = TypeVar("T")


class BasePool(ClosablePool):
    """A pool with the methods of `multiprocessing.Pool`. Root only.

    `mpiapps.tasks.mpi_pool.MPIPool` executes tasks on ranks, and
    `mpiapps.dask_cluster.dask_pool.DaskPool` on workers of Dask, with equal results.
    """

    def __init__(self, dumps: Dumps = pickle.dumps) -> None:
        super().__init__(dumps)
        self._call_numbers = itertools.count()

    @abstractmethod
    def n_workers(self) -> int:
        """Return the number of workers."""

    def _max_pending(self, tasks: int) -> int:
        """Return the limit of pending tasks, given the requested one."""
        return tasks

    @abstractmethod
    def _pickled(self, call: Call) -> Pickled | None:
        """Return a pickled call, or None if nothing is sent; may raise `TaskError`."""

    def map(
        self,
        function: Callable[..., T],
        items: Iterable[Any],
        chunksize: int | str | None = None,
        seed: int | None = None,
        *,
        timeout: float | None = 0,
    ) -> list[T]:
        """Return the results of ``function(item)`` in order. Root only.

        Parameters
        ----------
        function : callable
            Defined at the top level of a module: it is pickled by name.
        items : iterable
        chunksize : int or "guided", optional
            Tasks per chunk. ``"guided"``: a share of the remaining tasks, so chunks
            shrink towards the end. Default: a quarter of each worker's share.
        seed : int, optional
            Gives each task a keyword argument ``rng``, its own
            `numpy.random.Generator`, which does not depend on the number of ranks.
        timeout : float, optional
            Time limit of each task, s. A task that exceeds it fails by a `TaskError`,
            and the others continue. 0 or None: that of the pool, if it has one.

        Raises
        ------
        Exception
            The exception of the first failed task, in the order of items; its cause
            shows the traceback and the rank. Tasks that have not started are dropped.
        """
        return self._get(Call(function, "one", seed, timeout), items, chunksize)

    def starmap(
        self,
        function: Callable[..., T],
        items: Iterable[Sequence[Any]],
        chunksize: int | str | None = None,
        seed: int | None = None,
        *,
        timeout: float | None = 0,
    ) -> list[T]:
        """Return the results of ``function(*item)``. Root only; see `map`."""
        return self._get(Call(function, "star", seed, timeout), items, chunksize)

    def imap(
        self,
        function: Callable[..., T],
        items: Iterable[Any],
        chunksize: int = 1,
        seed: int | None = None,
        *,
        timeout: float | None = 0,
    ) -> Iterator[T]:
        """Return an iterator over the results in order. Root only; see `map`.

        Items are taken lazily and may be infinite: at most `MAX_PENDING_CHUNKS` chunks
        per worker are sent before their results are requested, and fewer, but one, if
        their items and results would take more than `MAX_PENDING_BYTES` on the root.
        After the exception of a task, `next` continues with the following result.
        """
        return self._map_result(Call(function, "one", seed, timeout), items, chunksize)

    def imap_unordered(  # noqa: PLR0913 - those of imap, and max_pending
        self,
        function: Callable[..., T],
        items: Iterable[Any],
        chunksize: int = 1,
        seed: int | None = None,
        max_pending: int | None = 0,
        *,
        timeout: float | None = 0,
    ) -> Iterator[T]:
        """Return an iterator over the results as completed. Root only; see `imap`.

        `max_pending` is the maximum number of tasks that are sent before their results
        are requested; 0 or None is the default of `imap`.
        """
        call = Call(function, "one", seed, timeout)
        return self._map_result(
            call, items, chunksize, ordered=False, max_pending=max_pending
        )

    def submit(
        self, function: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> Future[T]:
        """Submit ``function(*args, **kwargs)``; return its future. Root only.

        The future is a `concurrent.futures.Future`: `wait`, `as_completed`,
        `asyncio.wrap_future`, timeouts, callbacks and `cancel` work. Callbacks run in
        the thread that receives results, so they must not wait for other tasks.
        """
        self._check_open()
        return self.submit_in_place(function, *args, **kwargs)

    def submit_in_place(
        self, function: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> Future[T]:
        """Submit a task in place of one that is done, also while the pool is left.

        Called by the callback of that one's future; else as `submit`.
        """
        if self._submitted is None:
            pickled = self._pickled(SubmitResults.call)
            self._submitted = SubmitResults(next(self._call_numbers), pickled)
        chunk, future = self._submitted.add((sendable(function), args, kwargs))
        self._queue.add(chunk)
        self._dispatch()
        return future

    def apply(
        self,
        function: Callable[..., T],
        args: Sequence[Any] = (),
        kwds: Mapping[str, Any] | None = None,
    ) -> T:
        """Return ``function(*args, **kwds)``, executed by a worker. Root only."""
        return self.submit(function, *args, **(kwds or {})).result()

    def apply_async(
        self,
        function: Callable[..., T],
        args: Sequence[Any] = (),
        kwds: Mapping[str, Any] | None = None,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> AsyncResult[T]:
        """Return the result of `submit` with the methods of multiprocessing."""
        future = self.submit(function, *args, **(kwds or {}))
        return AsyncResult(future, callback, error_callback)

    def map_async(
        self,
        function: Callable[..., T],
        items: Iterable[Any],
        chunksize: int | str | None = None,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> AsyncResult[list[T]]:
        """Start a `map`; return its result, which leaving the pool waits for."""
        future = self._start(Call(function, "one"), items, chunksize)
        return AsyncResult(future, callback, error_callback)

    def starmap_async(
        self,
        function: Callable[..., T],
        items: Iterable[Sequence[Any]],
        chunksize: int | str | None = None,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> AsyncResult[list[T]]:
        """Start a `starmap`; see `map_async`."""
        future = self._start(Call(function, "star"), items, chunksize)
        return AsyncResult(future, callback, error_callback)

    def _get(
        self, call: Call, items: Iterable[Any], chunksize: int | str | None
    ) -> list[Any]:
        return self._map_result(call, list(items), chunksize).get()

    def _start(
        self, call: Call, items: Iterable[Any], chunksize: int | str | None
    ) -> Future[list[Any]]:
        results = self._map_result(call, list(items), chunksize)
        future = results.start()
        ended = {each for each in self._started if each.called_back.is_set()}
        self._started = (self._started - ended) | {results}
        return future

    def _map_result(
        self,
        call: Call,
        items: Iterable[Any],
        chunksize: int | str | None,
        *,
        ordered: bool = True,
        max_pending: int | None = 0,
    ) -> MapResult[Any]:
        self._check_open()
        workers = self.n_workers()
        chunker = Chunker(items, chunksize, workers)
        size = chunker.chunksize if isinstance(chunker.chunksize, int) else 1
        most = task_limit("max_pending", max_pending)
        most = most or MAX_PENDING_CHUNKS * workers * size
        return MapResult(
            next(self._call_numbers),
            call,
            self._pickled(call),
            chunker,
            PendingMemory(workers * size, self._max_pending(most)),
            ordered,
            self,
        )
