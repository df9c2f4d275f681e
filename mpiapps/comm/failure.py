"""Leaving MPI together: the end of one rank becomes the end of all, with its reason.

A rank that raises, or exits even with 0, leaves the others in a collective until the
time limit, on every MPI. So a rank that leaves says so on a communicator of its own,
and waits a moment: when all ranks leave, nobody needs to be killed and the reason is
printed once; when others stay, it prints the reason and ends them by ``MPI_Abort``.
"""

from __future__ import annotations

import os
import time
import traceback
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from mpiapps.base.errors import MpiAppsError, RankLeft, Stopped, Terminated, exit_code
from mpiapps.base.launcher import DELIVERY, YIELD
from mpiapps.base.streams import drop_out, write_err
from mpiapps.comm.mpi import MPI
from mpiapps.comm.survive import is_loss

if TYPE_CHECKING:
    from mpiapps.comm.world import World

GRACE = 0.2  # s that a failed rank waits for others that fail alike
SIGNAL_GRACE = 0.1  # s; Open MPI's mpiexec kills 0.25 s after SIGTERM
EXIT_GRACE = 2.0  # s that a rank which calls sys.exit(0) waits for the others
NOTICE = 30.0  # s after which a rank that is done tells that it waits
POLL = 0.001  # s between looks, asleep


class Departure:
    """The way out of a world; made once, used once by each rank. Collective to make."""

    def __init__(self, world: World) -> None:
        """Make the communicator on which ranks tell that they leave. Collective."""
        self._world = world
        self._renew()
        world.on_shrink(self._renew)
        self._failed: set[int] = set()
        self._requests: list[MPI.Request] = []
        self._left = MPI.REQUEST_NULL
        self._broken = False  # a rank was killed, and nothing can be agreed on
        # Buffers of messages under way; they must live as long as those.
        self._mine = np.zeros(1, dtype=np.int64)
        self._failures = np.zeros(1, dtype=np.int64)

    def _renew(self) -> None:
        """Take the ranks that the world has now. Collective."""
        self._comm = self._world.comm.Dup()
        self._note = np.array([self._world.rank], dtype=np.int64)

    def done(self) -> None:
        """Wait, asleep, until all ranks leave; tell so if it takes long. Collective."""
        self._say_leaving(failed=False)
        if not self._all_left(NOTICE):
            write_err(
                f"mpiapps: {self._world} is done and waits for other ranks to end\n"
            )
            self._all_left(None)

    def close(self) -> None:
        """Free the communicator, once all ranks have left. Collective."""
        self._comm.Free()

    def failed(self, error: BaseException) -> int:
        """Return the exit code if all ranks leave; else end them all. Local.

        It may be called by one rank or by many, at any time.
        """
        code = exit_code(error)
        drop_out()  # what was printed stands before the reason
        told = self._told_before(error)
        was_done = bool(self._requests)  # it failed while it waited for the others
        if was_done:
            self._failed.add(self._comm.rank)
        else:
            self._say_leaving(failed=True)
        alone = was_done or not self._all_left(_grace(error, code))
        if alone and code == 0:
            code = RankLeft.exit_code
        silent = told or not self._lowest()
        if alone and silent:
            time.sleep(YIELD)  # another rank reports and ends all
        if alone or not silent:
            write_err(report(error, self._world, code, alone))
        if code:
            time.sleep(DELIVERY)  # also the silent: the first to exit ends the job
        if alone:
            self._abort(code)
        return code

    def interrupted(self, signum: int, frame: FrameType | None) -> NoReturn:
        """End all ranks from a thread, as the main one is blocked at `frame`. Local."""
        error = Terminated(128 + signum)
        if MPI.Query_thread() == MPI.THREAD_MULTIPLE and not self._requests:
            told = self._told_before(error)
            self._say_leaving(failed=True)
            self._all_left(SIGNAL_GRACE)
            if told or not self._lowest():
                time.sleep(YIELD)
        stack = "".join(traceback.format_stack(frame))
        write_err(f"{_title(error, self._world)}\nTraceback:\n{stack}")
        time.sleep(DELIVERY)
        self._abort(error.code)

    def _told_before(self, error: BaseException) -> bool:
        """Return whether a signal only follows the failure of another rank.

        Launchers end the ranks of a job whose first one aborts by SIGTERM.
        """
        if not isinstance(error, Terminated | KeyboardInterrupt):
            return False
        self._hear()
        return bool(self._failed)

    def _abort(self, code: int) -> NoReturn:
        if MPI.Query_thread() == MPI.THREAD_MULTIPLE:
            MPI.COMM_WORLD.Abort(code)
        os._exit(code)  # the launcher ends the others

    def _say_leaving(self, *, failed: bool) -> None:
        """Tell the others: an all-reduce, and a message to each if this rank failed.

        If one of them was killed, and the run goes on without it, they cannot be told.
        """
        try:
            self._say(failed=failed)
        except MPI.Exception as error:
            self._broken = is_loss(error)
            if not self._broken:
                raise

    def _say(self, *, failed: bool) -> None:
        if failed:
            self._mine[0] = 1
            self._failed.add(self._comm.rank)
            self._requests = [
                self._comm.Isend(self._note, dest=rank)
                for rank in range(self._comm.size)
                if rank != self._comm.rank
            ]
        self._left = self._comm.Iallreduce(self._mine, self._failures, op=MPI.SUM)
        self._requests.append(self._left)

    def _all_left(self, seconds: float | None) -> bool:
        """Return whether all ranks leave within `seconds`, and hear who failed."""
        end = None if seconds is None else time.monotonic() + seconds
        while not self._tested():
            if self._broken:
                return False
            self._hear()
            if end is not None and time.monotonic() > end:
                return False
            time.sleep(POLL)
        while len(self._failed) < self._failures[0]:
            self._hear()
            time.sleep(POLL)
        return True

    def _tested(self) -> bool:
        try:
            return not self._broken and bool(self._left.Test())
        except MPI.Exception as error:
            self._broken = is_loss(error)
            if not self._broken:
                raise
            return False

    def _hear(self) -> None:
        note = np.zeros(1, dtype=np.int64)
        while (message := self._comm.Improbe()) is not None:
            message.Recv(note)
            self._failed.add(int(note[0]))

    def _lowest(self) -> bool:
        return self._comm.rank == min(self._failed)


def report(error: BaseException, world: World, code: int, alone: bool) -> str:
    """Return the text that explains why a rank ended. Local.

    Errors of this package and agreed ones speak for themselves; a program's own
    ``sys.exit`` on all ranks needs no words but its text.
    """
    if isinstance(error, SystemExit) and not alone:
        return "" if isinstance(error.code, int | None) else f"{error.code}\n"
    title = _title(error, world)
    if isinstance(error, MpiAppsError):
        return f"{title}\n"
    lines = "".join(traceback.format_exception(error))
    if code == RankLeft.exit_code:
        title += ", while others were still at work"
    return f"{title}\n{lines}"


def _title(error: BaseException, world: World) -> str:
    where = f" on {world}" if world.size > 1 else ""
    match error:
        case Stopped():
            return f"mpiapps: {error}"
        case MpiAppsError():
            return f"mpiapps: error{where}: {error}"
        case Terminated():
            return f"mpiapps: stopped by signal {error.code - 128}{where}"
        case KeyboardInterrupt():
            return f"mpiapps: interrupted{where}"
        case SystemExit():
            return f"mpiapps: sys.exit({error.code!r}){where}"
        case _:
            return f"mpiapps: {type(error).__name__}{where}"


def _grace(error: BaseException, code: int) -> float:
    if isinstance(error, Terminated | KeyboardInterrupt):
        return SIGNAL_GRACE
    return GRACE if code else EXIT_GRACE
