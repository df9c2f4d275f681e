"""A pool on the workers of a Dask cluster, and the choice between MPI and Dask."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mpiapps.comm.pickling import Pickled
from mpiapps.tasks.chunk import Chunk
from mpiapps.tasks.payload import (
    Payload,
    Report,
    pack_outcomes,
    unpack_items,
    unpack_outcomes,
)
from mpiapps.tasks.pending_memory import report_bytes
from mpiapps.tasks.pool import BasePool
from mpiapps.tasks.task import (
    Call,
    Outcomes,
    execute_chunk,
    failure_of,
    one_failure,
    pack_call,
    unpack_call,
    unpickling_failure,
)
from mpiapps.tasks.task_queue import split_chunk

if TYPE_CHECKING:
    from dask.typing import Key
    from distributed import Client, Future
    from mpi4py.MPI import Intracomm

BACKENDS = ("mpi", "dask")
THREAD_COUNT_SECONDS = 1.0  # between queries of the number of worker threads
CHUNKS_PER_THREAD = 4  # submitted to Dask at a time


class DaskPool(BasePool):
    """Distributes tasks over the workers of a Dask cluster. In the client's process.

    Parameters
    ----------
    client : distributed.Client

    Notes
    -----
    Tasks have the same numbers, random generators and chunks as on ranks, so results
    have the same bits. Functions are pickled by cloudpickle, so lambdas work. Dask
    reschedules the tasks of a worker that dies. Results arrive in the thread in which
    Dask calls the callbacks of its futures.
    """

    def __init__(self, client: Client) -> None:
        import cloudpickle

        super().__init__(cloudpickle.dumps)
        self.client = client
        self._in_flight: dict[Key, tuple[Chunk, Future[Any]]] = {}
        self._lock = threading.RLock()  # guards `_in_flight` and the queue
        self._threads, self._query_after = 1, 0.0

    def finish(self) -> None:
        """Complete submitted tasks; end the other calls."""
        self._leave()
        if self._submitted is not None:
            self._submitted.wait()

    def n_workers(self) -> int:
        """Return the number of threads of all workers."""
        if time.monotonic() > self._query_after:  # a query costs as much as a task
            threads: dict[str, int] = self.client.nthreads()
            self._threads = max(1, sum(threads.values()))
            self._query_after = time.monotonic() + THREAD_COUNT_SECONDS
        return self._threads

    def _pickled(self, call: Call) -> Pickled:
        if call.timeout:
            raise ValueError(
                f"timeout {call.timeout}: workers of Dask have no time limit of a task;"
                " use MPIPool"
            )
        return pack_call(call, self._dumps)

    def _dispatch(self) -> None:
        with self._lock:
            limit = CHUNKS_PER_THREAD * self.n_workers()
            while len(self._in_flight) < limit:
                if (item := self._queue.next_pickled()) is None:
                    return
                self._submit_chunk(*item)

    def _submit_chunk(self, chunk: Chunk, payload: Payload) -> None:
        """Submit a chunk to Dask."""
        try:
            future = self.client.submit(
                execute_on_worker,
                chunk.results.pickled,
                chunk.first,
                len(chunk.items),
                payload,
                pure=False,
            )
        except Exception as error:  # the client is closed
            chunk.results.fail(error)
            raise
        self._in_flight[future.key] = chunk, future
        future.add_done_callback(self._on_done)

    def _on_done(self, future: Future[Any]) -> None:
        """Store the outcomes of a chunk. In the thread of Dask's callbacks."""
        with self._lock:
            chunk, _ = self._in_flight.pop(future.key)
        try:
            name, report = future.result()
        except BaseException as error:  # such as KilledWorker
            numbers = range(chunk.first, chunk.first + len(chunk.items))
            failures = {number: failure_of(number, error) for number in numbers}
            outcomes = Outcomes([None] * len(failures), failures)
            chunk.results.add_outcomes(chunk.first, outcomes, -1)
        else:
            if report is None:
                with self._lock:
                    self._queue.add_first(split_chunk(chunk))
            else:
                outcomes = unpack_outcomes(chunk.first, report)
                nbytes = report_bytes(report)
                chunk.results.add_outcomes(chunk.first, outcomes, name, nbytes)
        self._dispatch()


def execute_on_worker(
    call: Pickled, first: int, n: int, payload: Payload
) -> tuple[int, Report | None]:
    """Return the rank of this worker, and the outcomes of the tasks. On a worker.

    ``None`` if they cannot be unpickled together: the caller sends them one by one.
    """
    import cloudpickle
    from distributed import get_worker

    name = str(get_worker().name)
    rank = int(name) if name.isdigit() else -1
    ok, items = unpack_items(payload)
    if ok:
        outcomes = execute_chunk(unpack_call(call), first, deque(items))
    elif n == 1:
        outcomes = one_failure(first, unpickling_failure(first, items))
    else:
        return rank, None
    return rank, pack_outcomes(first, outcomes, cloudpickle.dumps)


@contextmanager
def choose_pool(
    comm: Intracomm, backend: str = "mpi", **options: Any
) -> Iterator[BasePool | None]:
    """Yield a pool over the ranks of `comm`, by MPI or by Dask. Collective.

    Parameters
    ----------
    comm : Intracomm
    backend : {"mpi", "dask"}
    **options
        As for `mpiapps.dask.dask_on_ranks`.

    Yields
    ------
    BasePool or None
        On the root; on the other ranks ``None``, after the root has left the block.

    Raises
    ------
    ValueError
        If the backend is unknown.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is not one of {', '.join(BACKENDS)}")
    if backend == "mpi":
        from mpiapps.tasks.mpi_pool import MPIPool

        with MPIPool(comm) as pool:
            yield pool
        return
    from mpiapps.dask_cluster.cluster import Cluster
    from mpiapps.dask_cluster.cluster_options import ClusterOptions

    with Cluster(comm, ClusterOptions(**options)) as cluster:
        if cluster.client is None:
            yield None
            return
        dask_pool = DaskPool(cluster.client)
        yield dask_pool
        dask_pool.finish()
        cluster.check_alive()
