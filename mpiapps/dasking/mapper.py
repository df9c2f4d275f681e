"""Tasks on workers of Dask, by the calls of `mpiapps.comm.tasks`; or on ranks."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mpiapps.comm.mapper import Mapper
from mpiapps.comm.packing import Packed
from mpiapps.comm.task import (
    How,
    Payload,
    Report,
    do_chunk,
    failed,
    not_read,
    pack_how,
    pack_outcomes,
    unpack_how,
    unpack_items,
    unpack_outcomes,
)
from mpiapps.comm.task_calls import Chunk
from mpiapps.comm.task_queue import apart

if TYPE_CHECKING:
    from dask.typing import Key
    from distributed import Client, Future
    from mpi4py.MPI import Intracomm

BACKENDS = ("mpi", "dask")
EVERY = 1.0  # s between looks at how many workers there are
DEPTH = 4  # chunks for each thread of a worker that Dask has at a time


class DaskTasks(Mapper):
    """Shares tasks over the workers of a Dask cluster. Local to the client's process.

    Parameters
    ----------
    client : distributed.Client

    Notes
    -----
    Tasks get the same numbers, random generators and chunks as on ranks, so results
    have the same bits. Functions are pickled by cloudpickle: they may be lambdas. A
    worker that dies is Dask's to care for; its tasks go to others. Results are taken
    in by the thread in which Dask calls the callbacks of its futures.
    """

    def __init__(self, client: Client) -> None:
        import cloudpickle

        super().__init__(cloudpickle.dumps)
        self.client = client
        self._held: dict[Key, tuple[Chunk, Future[Any]]] = {}
        self._lock = threading.RLock()  # of that, and of taking from the queue
        self._threads, self._asked_again = 1, 0.0

    def finish(self) -> None:
        """Do what was submitted; end the other calls."""
        self.close()
        if self._submitted is not None:
            self._submitted.wait()

    def _workers(self) -> int:
        if time.monotonic() > self._asked_again:  # asking costs as much as a task
            threads: dict[str, int] = self.client.nthreads()
            self._threads = max(1, sum(threads.values()))
            self._asked_again = time.monotonic() + EVERY
        return self._threads

    def _packed(self, how: How) -> Packed:
        return pack_how(how, self._dumps)

    def _hand_out(self) -> None:
        with self._lock:
            most = DEPTH * self._workers()
            while len(self._held) < most:
                if (found := self._queue.next_packed()) is None:
                    return
                self._begin(*found)

    def _begin(self, chunk: Chunk, payload: Payload) -> None:
        """Let Dask do a chunk."""
        try:
            future = self.client.submit(
                do_here,
                chunk.call.packed,
                chunk.first,
                len(chunk.items),
                payload,
                pure=False,
            )
        except Exception as error:  # the client is closed
            chunk.call.fail(error)
            raise
        self._held[future.key] = chunk, future
        future.add_done_callback(self._take_in)

    def _take_in(self, future: Future[Any]) -> None:
        """Take in what came of a chunk. In the thread of Dask's callbacks."""
        with self._lock:
            chunk, _ = self._held.pop(future.key)
        try:
            name, report = future.result()
        except BaseException as error:  # such as KilledWorker: of all its tasks
            numbers = range(chunk.first, chunk.first + len(chunk.items))
            outcomes = [failed(number, error) for number in numbers]
            chunk.call.take(chunk.first, outcomes, -1)
        else:
            if report is None:
                with self._lock:
                    self._queue.add_first(apart(chunk))
            else:
                outcomes = unpack_outcomes(chunk.first, report)
                chunk.call.take(chunk.first, outcomes, name)
        self._hand_out()


def do_here(
    how: Packed, first: int, n: int, payload: Payload
) -> tuple[int, Report | None]:
    """Return the rank of this worker, and what came of the tasks. On a worker.

    ``None`` if some cannot be unpickled together: they are to be sent one by one.
    """
    import cloudpickle
    from distributed import get_worker

    name = str(get_worker().name)
    rank = int(name) if name.isdigit() else -1
    fine, items = unpack_items(payload)
    if fine:
        outcomes = do_chunk(unpack_how(how), deque(enumerate(items, first)))
        return rank, pack_outcomes(outcomes, cloudpickle.dumps)
    if n > 1:
        return rank, None
    return rank, pack_outcomes([not_read(first, items)], cloudpickle.dumps)


@contextmanager
def mapper(
    comm: Intracomm, backend: str = "mpi", **setup: Any
) -> Iterator[Mapper | None]:
    """Yield what shares tasks over the ranks of `comm`, by MPI or by Dask. Collective.

    Parameters
    ----------
    comm : Intracomm
    backend : {"mpi", "dask"}
    **setup
        As for `mpiapps.dask.dask_on_ranks`.

    Yields
    ------
    Mapper or None
        On the root; on the other ranks ``None``, when the root has left.

    Raises
    ------
    ValueError
        If the backend is another.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is not one of {', '.join(BACKENDS)}")
    if backend == "mpi":
        from mpiapps.comm.tasks import Tasks

        with Tasks(comm) as tasks:
            yield tasks
        return
    from mpiapps.dasking.ranks import Cluster
    from mpiapps.dasking.setup import Setup

    with Cluster(comm, Setup(**setup)) as cluster:
        if cluster.client is None:
            yield None
            return
        shared = DaskTasks(cluster.client)
        yield shared
        shared.finish()
        cluster.see_it_there()
