"""Tasks shared over ranks, as `multiprocessing.Pool` shares them over processes.

::

    with Tasks(world.comm) as tasks:
        if tasks is not None:  # the root; the other ranks work until it is through
            for found in tasks.imap(function, items):
                ...

A thread of the root gives out tasks and takes in results; the root does tasks itself
only if it is alone. Every rank runs the same script, so functions are sent by name, as
`pickle` does it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from mpiapps.base.errors import LaunchError
from mpiapps.base.forks import is_child
from mpiapps.comm.letters import LONGEST
from mpiapps.comm.mapper import Mapper
from mpiapps.comm.mpi import MPI
from mpiapps.comm.packing import SIGNALS, Packed
from mpiapps.comm.survive import survives
from mpiapps.comm.task import How, do_chunk, pack_how
from mpiapps.comm.task_calls import Call
from mpiapps.comm.task_manager import Manager
from mpiapps.comm.task_worker import Worker

ROOT = 0


class Tasks(Mapper):
    """Shares tasks over the ranks of a communicator. Collective to make and to leave.

    Parameters
    ----------
    comm : MPI.Intracomm
        Any: one made by ``comm.Split`` shares over its ranks alone. It is duplicated.
    meanwhile : callable, optional
        Called on the root, often, while it waits for results of `map` and `imap`.

    Notes
    -----
    Entering returns this object on the root and ``None`` elsewhere, when the root has
    left. Cost: two messages a chunk of tasks; of short ones, for some chunks. A worker
    holds the next chunks while it does one if they are short, by what the last ones
    took, so it does not wait for the root; when another worker has nothing to do, it
    gives back half of what it has not begun. Idle ranks sleep between looks, up to
    1 ms. Alone, the root does tasks in the thread that asks for them, and `submit`
    returns a future that is done.

    Where a run survives the death of a rank (`mpiapps.comm.survive`), its chunks go to
    others and `lost` names it; a chunk that ended three ranks fails. `World.shrink`
    then gives the ranks that are left.
    """

    def __init__(
        self, comm: MPI.Intracomm, meanwhile: Callable[[], object] | None = None
    ) -> None:
        super().__init__()
        self._comm, self._meanwhile = comm.Dup(), meanwhile
        self._manager: Manager | None = None
        if comm.size == 1:
            return
        if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
            raise LaunchError(
                "tasks need an MPI that was started with MPI_THREAD_MULTIPLE, which"
                " open_world and mpi4py ask for: do not set mpi4py.rc.thread_level,"
                " or choose an MPI library that provides it"
            )
        if comm.rank == ROOT:
            self._manager = Manager(self._comm, self._queue)

    @property
    def lost(self) -> list[int]:
        """Return the ranks that were killed. Root only."""
        return self._manager.lost if self._manager else []

    def __enter__(self) -> Tasks | None:
        """Return this on the root; elsewhere work, and return ``None``. Collective."""
        if self._comm.rank != ROOT:
            Worker(self._comm, ROOT).work()
            return None
        if self._manager is not None:
            self._manager.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Do what was submitted, and send the workers away. Collective.

        After an error of the root what was not begun is cancelled, and nothing is
        waited for.
        """
        if is_child():
            return
        if self._comm.rank == ROOT:
            self._leave(failed=exc[0] is not None)
            if exc[0] is not None:
                return
        if not survives():  # it is collective, and some may be dead
            self._comm.Free()

    def _leave(self, *, failed: bool) -> None:
        """End the calls that nobody waits for, and the manager."""
        self.close()
        if failed and self._submitted is not None:
            self._submitted.cancel()
        if self._manager is None:
            return
        self._manager.close()
        while not failed and self._manager.is_alive():
            self._manager.join(LONGEST if self._meanwhile else None)
            if self._meanwhile:
                self._meanwhile()
        if self._manager.error is not None and not failed:
            raise self._manager.error

    def _workers(self) -> int:
        return self._manager.workers if self._manager else 1

    def _ahead(self, tasks: int) -> int:
        return tasks if self._manager else 1

    def _packed(self, how: How) -> Packed | None:
        return pack_how(how) if self._manager else None

    def _hand_out(self) -> None:
        if self._manager is not None:
            self._manager.wake()
            if self._manager.error is not None:
                raise self._manager.error
        elif self._submitted in self._queue.calls():
            self._do_until(lambda: not self._queue)

    def await_change(self, call: Call[Any]) -> None:
        """Return when a call is due. The thread that made it. Local."""
        if self._manager is None:
            self._do_until(call.due)
        elif threading.current_thread() is self._manager:
            raise RuntimeError(
                "a callback of a future cannot wait for other tasks: it runs in the"
                " thread that takes in their results"
            )
        elif self._meanwhile is None:
            super().await_change(call)
        else:
            with call.changed:
                call.changed.wait_for(call.due, LONGEST)
            self._meanwhile()

    def forget(self, call: Call[Any]) -> None:
        """Let ranks forget the function of a call that has ended. Any thread. Local."""
        if self._manager is not None:
            self._manager.forget(call)

    def _do_until(self, enough: Callable[[], bool]) -> None:
        """Do chunks here. Alone only."""
        while not enough() and (chunk := self._queue.next()) is not None:
            tasks = deque(enumerate(chunk.items, chunk.first))
            try:
                outcomes = do_chunk(chunk.call.how, tasks)
            except SIGNALS as error:
                chunk.call.fail(error)
                raise
            chunk.call.take(chunk.first, outcomes, ROOT)
