"""A backend of joblib on ranks: any code with ``n_jobs`` runs on them.

::

    with joblib_pool(world) as pool:
        if pool is not None:  # the root; the other ranks work until it leaves
            with parallel_config("mpiapps"):
                cross_val_score(model, x, y, n_jobs=-1)

Functions, arguments and results are pickled by cloudpickle, as by joblib's backend
loky, so lambdas and functions of the script work. As with loky, tasks of one call share
a read-only copy of each array of 1 MiB or more: one of the host, or one of each rank if
they are on several hosts. With ``Parallel(max_nbytes=None)`` each task has its own.
"""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any

import cloudpickle
import numpy as np
from joblib import register_parallel_backend
from joblib._parallel_backends import AutoBatchingMixin, FallbackToBackend
from joblib.parallel import ParallelBackendBase, SequentialBackend

from mpiapps.base.errors import UsageError
from mpiapps.comm.pickling import Pickled, attempt, pack, unpack
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.comm.shared import can_map
from mpiapps.tasks.host_arrays import HostArrays, Key, Reduced
from mpiapps.tasks.mpi_pool import MPIPool
from mpiapps.tasks.sent_arrays import KEPT, MissingArrayError, SentArrays

NAME = "mpiapps"
MAX_NBYTES = 2**20  # of an array that is sent with its task, as in joblib
ARRAYS = (np.ndarray, np.memmap)
Share = Callable[[np.ndarray], Reduced | None]
CONTAINERS = (list, tuple, dict, set, frozenset, str, bytes, bytearray)
# The pools that the root is in, the innermost last, and whether its ranks can map the
# root's memory.
_pools: list[tuple[MPIPool, bool]] = []
_common: list[Any] = []  # objects that all ranks have
_positions: dict[int, int] = {}  # theirs, which tasks have in their place, by identity


@contextmanager
def joblib_pool(ranks: Ranks, common: Sequence[Any] = ()) -> Iterator[MPIPool | None]:
    """Make the ranks workers of ``parallel_config("mpiapps")``. Collective.

    Parameters
    ----------
    ranks : communicator or World
        P ranks are P - 1 workers, as the root only sends tasks; one rank works itself.
    common : sequence
        Objects that each rank passes its equal copy of, such as large arrays: a task
        with one of the root's sends its position only.

    Yields
    ------
    MPIPool or None
        The pool on the root; `None` on the other ranks, once the root has left.
    """
    before, can_share = _common[:], can_map(communicator(ranks))
    _set_common(common)
    try:
        with MPIPool(ranks) as pool:
            if pool is None:
                yield None
                return
            _pools.append((pool, can_share))
            try:
                yield pool
            finally:
                _pools.remove((pool, can_share))
    finally:
        _set_common(before)
        KEPT.clear()


def _set_common(objects: Sequence[Any]) -> None:
    _common[:] = objects
    _positions.clear()
    _positions.update((id(each), n) for n, each in enumerate(objects))


# joblib and cloudpickle have no types: to mypy, their classes are `Any` as bases.
class MPIBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """The backend of the innermost `joblib_pool`. Root only.

    Nested calls of `joblib.Parallel` run in their task: a rank has its own cores.

    Raises
    ------
    UsageError
        If there is no such pool in this process.
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = False

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if not _pools:
            raise UsageError(
                'parallel_config("mpiapps") has no ranks here: enter `with'
                " joblib_pool(world) as pool` on all ranks, and call it on the root,"
                " where pool is not None"
            )
        self._pool, can_map_root = _pools[-1]
        self._arrays: HostArrays | SentArrays = HostArrays()
        if not can_map_root:
            self._arrays = SentArrays(self._pool.n_workers())
        self._min_bytes = float("inf")
        self._pending: dict[Future[Any], list[Key]] = {}  # with copies that it uses
        self._lock = threading.Lock()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return the number of workers: at most those of the pool."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        workers = self._pool.n_workers()
        if n_jobs is None:
            return 1
        return min(n_jobs, workers) if n_jobs > 0 else max(workers + 1 + n_jobs, 1)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **settings: Any) -> int:
        """Return the number of workers; one works in this process, without messages.

        `settings`: those of `joblib.Parallel`, of which ``max_nbytes`` counts.
        """
        max_nbytes = settings.get("max_nbytes", MAX_NBYTES)
        self._min_bytes = float("inf") if max_nbytes is None else max(1, max_nbytes)
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        return n_jobs

    def submit(
        self, func: Callable[[], Any], callback: Callable[[Any], Any] | None = None
    ) -> Future[Any]:
        """Return the future of a batch, which has failed if it cannot be pickled."""
        return self._submit(func, callback, [], whole=False)

    def _submit(
        self,
        func: Callable[[], Any],
        callback: Callable[[Any], Any] | None,
        used: list[Key],
        *,
        whole: bool,
    ) -> Future[Any]:
        """Submit a batch. `whole`: send all arrays, also those that workers keep."""
        call = getattr(callback, "parallel_call_id", None)

        def share(array: np.ndarray) -> Reduced | None:
            return self._arrays.borrow(call, array, used, whole=whole)

        dumps = partial(_dumps, share=share, min_bytes=self._min_bytes)
        done, value = attempt(pack, func, dumps)
        if done:
            submit = self._pool.submit_in_place if whole else self._pool.submit
            done, value = attempt(submit, _execute, value)
        future: Future[Any] = value if done else Future()
        if not done:
            future.set_exception(value)
        with self._lock:
            self._pending[future] = used

        def receive(future: Future[Any]) -> None:
            is_done = not future.cancelled() and future.exception() is None
            is_missing = is_done and future.result() is None
            try:
                if is_missing:
                    again = self._submit(func, callback, used, whole=True)
                    if _has_ended(callback):  # now: `abort_everything` may be over
                        again.cancel()
                elif callback is not None:  # first: the next batch may use the copies
                    callback(future)
            finally:
                with self._lock:
                    del self._pending[future]
                if not is_missing:
                    self._arrays.release(used)

        future.add_done_callback(receive)
        return future

    def retrieve_result_callback(self, future: Future[Any]) -> Any:
        """Return the results of a batch, or raise its error."""
        return unpack(future.result(), _loads)

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel the batches that have not been sent; those that run, end."""
        del ensure_ready
        with self._lock:
            pending = list(self._pending)
        for future in pending:
            future.cancel()
        self.reset_batch_stats()

    def terminate(self) -> None:
        """Forget the durations of batches; the pool remains for other calls."""
        self.reset_batch_stats()

    def get_nested_backend(self) -> tuple[Any, int | None]:
        """Return the backend of calls within a task."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None


def _has_ended(callback: Any) -> bool:
    """Return whether the call of a batch, given its callback, needs it no more."""
    if (parallel := getattr(callback, "parallel", None)) is None:
        return False
    is_present: bool = parallel._call_id == callback.parallel_call_id
    return bool(parallel._aborting) or not is_present


def _common_object(position: int) -> Any:
    return _common[position]


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # see `MPIBackend`
    """Replaces common objects by their positions, and large arrays by references."""

    def __init__(self, stream: io.BytesIO, share: Share, min_bytes: float, **how: Any):
        super().__init__(stream, **how)
        self._share, self._min_bytes = share, min_bytes

    def reducer_override(self, value: Any) -> Any:
        """Return how to make a value; not called for those of built-in types."""
        if (position := _positions.get(id(value))) is not None:
            return _common_object, (position,)
        reduced = None
        if type(value) in ARRAYS and value.nbytes >= self._min_bytes:
            reduced = None if value.dtype.hasobject else self._share(value)
        return reduced or super().reducer_override(value)


class _PicklerOfContainers(_Pickler):
    """Finds common lists, too. It asks for each number and text, which takes longer."""

    def persistent_id(self, value: Any) -> int | None:
        return _positions.get(id(value))


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, position: int) -> Any:
        return _common[position]


def _dumps(
    value: Any,
    protocol: int,
    buffer_callback: Any,
    share: Share = lambda _: None,
    min_bytes: float = float("inf"),
) -> bytes:
    stream = io.BytesIO()
    how = {"protocol": protocol, "buffer_callback": buffer_callback}
    has_container = any(type(each) in CONTAINERS for each in _common)
    pickler = _PicklerOfContainers if has_container else _Pickler
    pickler(stream, share, min_bytes, **how).dump(value)
    return stream.getvalue()


def _loads(content: bytes | memoryview, buffers: list[Any]) -> Any:
    return _Unpickler(io.BytesIO(content), buffers=buffers).load()


def _execute(packed: Pickled) -> Pickled | None:
    """Execute a batch; return None if this worker lacks one of its arrays."""
    try:
        batch = unpack(packed, _loads)
    except MissingArrayError:
        return None
    finally:
        KEPT.trim()
    return pack(batch(), _dumps)


register_parallel_backend(NAME, MPIBackend)
