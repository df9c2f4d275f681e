"""Tasks on workers of Dask, by the calls of `mpiapps.comm.tasks`; or on ranks."""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mpiapps.comm.mapper import Mapper
from mpiapps.comm.task import Chunk, How, Outcome, do_chunk, sendable
from mpiapps.comm.task_calls import Awaited, Call

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
    have the same bits. Functions are pickled by Dask: they may be lambdas. A worker
    that dies is Dask's to care for; its tasks go to others.
    """

    def __init__(self, client: Client) -> None:
        super().__init__()
        from distributed import as_completed

        self.client = client
        self._done = as_completed()
        self._held: dict[Key, tuple[Call[Any], Chunk]] = {}
        self._calls: list[Call[Any]] = []
        self._threads, self._asked_again = 1, 0.0
        self._asked: list[Awaited[Any]] = []

    def finish(self) -> None:
        """Do what was submitted."""
        for future in self._asked:
            future.exception()

    def _workers(self) -> int:
        if time.monotonic() > self._asked_again:  # asking costs as much as a task
            threads: dict[str, int] = self.client.nthreads()
            self._threads = max(1, sum(threads.values()))
            self._asked_again = time.monotonic() + EVERY
        return self._threads

    def _take_on(self, call: Call[Any]) -> None:
        self._calls.append(call)

    def _begun(self, future: Awaited[Any]) -> None:
        self._asked = [each for each in self._asked if not each.done()] + [future]
        self._give_out()

    def _advance(self) -> None:
        self._give_out()
        if self._held:
            self._take_in(next(self._done))

    def _give_out(self) -> None:
        most = DEPTH * self._workers()
        self._calls = [call for call in self._calls if not call.through()]
        for call in self._calls:
            while len(self._held) < most and (chunk := call.next_chunk()) is not None:
                try:
                    future = self.client.submit(do_here, call.how, chunk, pure=False)
                except Exception:  # an item cannot be pickled
                    call.end()
                    raise
                self._held[future.key] = call, chunk
                self._done.add(future)

    def _take_in(self, future: Future[Any]) -> None:
        call, chunk = self._held.pop(future.key)
        try:
            name, outcomes = future.result()
        except Exception as error:  # such as KilledWorker: of all its tasks
            name, text = -1, traceback.format_exc()
            outcomes = [(False, (error, text))] * len(chunk.items)
        call.take(chunk.first, outcomes, name)


def do_here(how: How, chunk: Chunk) -> tuple[int, list[Outcome]]:
    """Return the rank of this worker, and what came of the tasks. On a worker."""
    import cloudpickle
    from distributed import get_worker

    name = str(get_worker().name)
    outcomes = do_chunk(how, chunk)
    arrays: list[pickle.PickleBuffer] = []  # those are not copied
    try:
        pickle.dumps(outcomes, 5, buffer_callback=arrays.append)
    except Exception:  # as Dask does; what it refuses would cost the chunk
        outcomes = sendable(chunk, outcomes, cloudpickle.dumps)
    return int(name) if name.isdigit() else -1, outcomes


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
