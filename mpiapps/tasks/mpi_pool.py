"""A pool of ranks, with the methods of `multiprocessing.Pool`.

::

    with MPIPool(world.comm) as pool:
        if pool is not None:  # the root; the other ranks work until it leaves
            for result in pool.imap(function, items):
                ...

A thread of the root sends tasks and receives results; the root executes tasks only if
it is alone. All ranks run the same script, so functions are pickled by name.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from mpiapps.base.errors import LaunchError
from mpiapps.comm.pickling import SIGNALS, Pickled
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.launch.forks import is_child
from mpiapps.launch.mpi import MPI
from mpiapps.launch.ulfm import ulfm_enabled
from mpiapps.tasks.call_child import CallChild
from mpiapps.tasks.chunk import Chunk
from mpiapps.tasks.limits import task_limit, time_limit
from mpiapps.tasks.manager import Manager
from mpiapps.tasks.pool import BasePool
from mpiapps.tasks.results import MapResult
from mpiapps.tasks.task import Call, execute_chunk, pack_call
from mpiapps.tasks.worker import Worker

ROOT = 0


class MPIPool(BasePool):
    """A pool of the ranks of a communicator. Creating, entering, leaving: collective.

    Parameters
    ----------
    comm : MPI.Intracomm
        Duplicated. Any communicator, also one of ``comm.Split``.
    timeout : float or None
        Time limit of a task, s; 0 or None: none. A task that exceeds it fails by a
        `TaskError`. A call may have another: ``pool.map(function, items, timeout=5)``.
    max_tasks_per_child : int or None
        Tasks after which a worker's child process is replaced; 0 or None: never.

    Notes
    -----
    Entering returns the pool on the root, and ``None`` on the other ranks, once the
    root has left. Cost: two messages per chunk; short chunks share messages. Chunks
    that are short, judged by the call's previous tasks, are prefetched by workers. When
    another worker is idle, a worker returns half of its tasks that have not started.
    Idle workers poll, at intervals of up to 0.25 ms, and of 1 ms after 0.1 s. A single
    rank executes tasks in the thread that requests their results, and `submit` returns
    a future that is done.

    With a limit, each worker executes its tasks in a child process: a task that crashes
    fails alone. Functions of the script itself then need cloudpickle.

    With ULFM (`mpiapps.launch.ulfm`) the chunks of a failed rank are requeued, and
    `lost` contains the rank; a chunk fails after three failed ranks. `World.shrink`
    returns the remaining ranks.
    """

    def __init__(
        self,
        comm: Ranks,
        *,
        timeout: float | None = 0,
        max_tasks_per_child: int | None = 0,
    ) -> None:
        comm = communicator(comm)
        super().__init__()
        max_tasks = task_limit("max_tasks_per_child", max_tasks_per_child)
        self._child = CallChild(time_limit(timeout), max_tasks)
        self._comm = comm.Dup()
        self._manager: Manager | None = None
        # Of the thread that executes tasks on a single rank; they may use the pool.
        self._executing = threading.RLock()
        if comm.size == 1:
            return
        if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
            raise LaunchError(
                "a pool needs MPI_THREAD_MULTIPLE, which open_world and mpi4py request:"
                " do not set mpi4py.rc.thread_level, or choose an MPI library that"
                " provides it"
            )
        if comm.rank == ROOT:
            self._receiver = self._manager = Manager(self._comm, self._queue)

    @property
    def lost(self) -> list[int]:
        """Return the failed ranks. Root only."""
        return self._manager.lost if self._manager else []

    def __enter__(self) -> MPIPool | None:
        """Return this on the root; work and return None on others. Collective."""
        if self._comm.rank != ROOT:
            Worker(self._comm, ROOT, self._child).run()
            return None
        if self._manager is not None:
            self._manager.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Wait for submitted tasks, and end the workers. Collective.

        After an exception of the root, pending tasks are cancelled and not waited for.
        """
        if is_child():
            return
        if self._comm.rank == ROOT:
            self._shutdown(failed=exc[0] is not None)
            if exc[0] is not None:
                return
        if not ulfm_enabled():  # Free is collective, and ranks may have failed
            self._comm.Free()

    def _shutdown(self, *, failed: bool) -> None:
        """Fail the pending calls, and end the manager."""
        self._leave()
        if failed:
            self._drop_eager()
        if self._manager is None:
            self._child.close()
            return
        self._manager.close()
        if not failed:
            self._manager.join()
            if self._manager.error is not None:
                raise self._manager.error

    def n_workers(self) -> int:
        """Return the number of ranks that execute tasks. Root only."""
        return self._manager.workers if self._manager else 1

    def _max_pending(self, tasks: int) -> int:
        return tasks if self._manager else 1

    def _pickled(self, call: Call) -> Pickled | None:
        return pack_call(call) if self._manager else None

    def _dispatch(self) -> None:
        if self._manager is not None:
            self._manager.wake()
            if self._manager.error is not None:
                raise self._manager.error
        elif any(results.eager for results in self._queue.results()):
            self._execute_until(lambda: not self._queue)

    def wait_until_due(self, results: MapResult[Any], end: float = math.inf) -> None:
        """Wait until results are due, or until the time `end` of `time.monotonic`.

        A single rank executes tasks until then, whatever the time.
        """
        if self._manager is None:
            self._execute_until(results.is_due)
        else:
            super().wait_until_due(results, end)

    def forget(self, results: MapResult[Any]) -> None:
        """Make ranks release the function of a call that has ended. Any thread."""
        if self._manager is not None:
            self._manager.forget(results)

    def _execute_until(self, is_done: Callable[[], bool]) -> None:
        """Execute chunks in this thread, on a single rank, one thread at a time."""
        while not is_done():
            with self._executing:
                # Another thread may have executed it meanwhile.
                if is_done() or (chunk := self._queue.next()) is None:
                    return
                self._execute(chunk)

    def _execute(self, chunk: Chunk) -> None:
        """Execute a chunk in this thread."""
        call = self._child.limited(chunk.results.call)
        try:
            outcomes = execute_chunk(call, chunk.first, deque(chunk.items))
        except SIGNALS as error:
            chunk.results.fail(error)
            raise
        chunk.results.add_outcomes(chunk.first, outcomes, ROOT)
