"""Coordinated exit: if one rank ends, all ranks end, and the error is printed once.

On every MPI, a rank that raises, or exits even with 0, leaves the others in a
collective until the time limit. So an exiting rank notifies the others on a separate
communicator and waits briefly: if all ranks exit, none is killed and the error is
printed once; if others continue, it prints the error and calls ``MPI_Abort``.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, Protocol

import numpy as np

from mpiapps.base.errors import (
    Checkpointed,
    MpiAppsError,
    RankExited,
    Terminated,
    exit_code,
)
from mpiapps.base.launch_environment import FLUSH_DELAY, LOWER_RANK_DELAY
from mpiapps.base.streams import discard_out, write_err
from mpiapps.launch.mpi import MPI, WORLD
from mpiapps.launch.ulfm import is_proc_failure

PEER_GRACE = 0.2  # s that a failed rank waits for others that fail alike
SIGNAL_GRACE = 0.1  # s; Open MPI's mpiexec kills 0.25 s after SIGTERM
EXIT_GRACE = 2.0  # s that a rank which calls sys.exit(0) waits for the others
WAIT_NOTICE = 30.0  # s of waiting in `finalize`, after which a notice is printed
POLL_SECONDS = 0.001


class WorldLike(Protocol):
    """The part of a `mpiapps.comm.world.World` that is used here. Local."""

    comm: MPI.Intracomm
    rank: int
    size: int

    def on_shrink(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever failed ranks have been removed. Local."""


class CoordinatedExit:
    """The exit protocol of a world, used once by each rank. Collective to create."""

    def __init__(self, world: WorldLike) -> None:
        """Duplicate the communicator for notifications. Collective."""
        self._world = world
        self._duplicate()
        world.on_shrink(self._duplicate)
        self._failed: set[int] = set()
        self._requests: list[MPI.Request] = []
        self._all_exit = MPI.REQUEST_NULL
        self._broken = False  # a rank has failed, so that collectives cannot complete
        # Buffers of pending messages.
        self._has_failed = np.zeros(1, dtype=np.int64)
        self._num_failed = np.zeros(1, dtype=np.int64)

    def _duplicate(self) -> None:
        """Duplicate the world's communicator. Collective."""
        self._comm = self._world.comm.Dup()
        self._own_rank = np.array([self._world.rank], dtype=np.int64)

    def finalize(self) -> None:
        """Wait, asleep, until all ranks exit; print a notice after long. Collective."""
        self._announce_exit(failed=False)
        if not self._wait_all(WAIT_NOTICE):
            write_err(
                f"mpiapps: {self._world} is done and waits for other ranks to end\n"
            )
            self._wait_all(None)

    def close(self) -> None:
        """Free the communicator, after all ranks have exited. Collective."""
        self._comm.Free()

    def abort(self, error: BaseException) -> int:
        """Return the exit code if all ranks exit; else terminate all ranks. Local.

        Any number of ranks may call it, at any time.
        """
        code = exit_code(error)
        discard_out()  # output before the error message
        reported = self._already_reported(error)
        was_done = bool(self._requests)  # it failed while waiting for the others
        if was_done:
            self._failed.add(self._comm.rank)
        else:
            self._announce_exit(failed=True)
        alone = was_done or not self._wait_all(_grace(error, code))
        if alone and code == 0:
            code = RankExited.exit_code
        silent = reported or not self._is_lowest_failed()
        if alone and silent:
            time.sleep(LOWER_RANK_DELAY)  # another rank reports and terminates all
        if alone or not silent:
            write_err(report(error, self._world, code, alone))
        if code:
            time.sleep(FLUSH_DELAY)  # the first rank to exit ends the job
        if alone:
            self._abort(code)
        return code

    def on_signal(self, signum: int, frame: FrameType | None) -> NoReturn:
        """Terminate all ranks from a thread; the main one is blocked at `frame`. Local.

        The handler of `mpiapps.launch.signals.SignalWatch`.
        """
        error = Terminated(128 + signum)
        if MPI.Query_thread() == MPI.THREAD_MULTIPLE and not self._requests:
            reported = self._already_reported(error)
            self._announce_exit(failed=True)
            self._wait_all(SIGNAL_GRACE)
            if reported or not self._is_lowest_failed():
                time.sleep(LOWER_RANK_DELAY)
        stack = "".join(traceback.format_stack(frame))
        write_err(f"{_title(error, self._world)}\nTraceback:\n{stack}")
        time.sleep(FLUSH_DELAY)
        self._abort(error.code)

    def _already_reported(self, error: BaseException) -> bool:
        """Return whether a signal is a consequence of the failure of another rank.

        After an abort, launchers send SIGTERM to the other ranks of the job.
        """
        if not isinstance(error, Terminated | KeyboardInterrupt):
            return False
        self._drain()
        return bool(self._failed)

    def _abort(self, code: int) -> NoReturn:
        if MPI.Query_thread() == MPI.THREAD_MULTIPLE:
            WORLD.Abort(code)
        os._exit(code)  # the launcher terminates the others

    def _announce_exit(self, *, failed: bool) -> None:
        """Notify the others: an all-reduce, and a message to each if this rank failed.

        Not possible after a rank has failed under ULFM.
        """
        try:
            self._post_exit(failed=failed)
        except MPI.Exception as error:
            self._broken = is_proc_failure(error)
            if not self._broken:
                raise

    def _post_exit(self, *, failed: bool) -> None:
        if failed:
            self._has_failed[0] = 1
            self._failed.add(self._comm.rank)
            self._requests = [
                self._comm.Isend(self._own_rank, dest=rank)
                for rank in range(self._comm.size)
                if rank != self._comm.rank
            ]
        self._all_exit = self._comm.Iallreduce(
            self._has_failed, self._num_failed, op=MPI.SUM
        )
        self._requests.append(self._all_exit)

    def _wait_all(self, timeout: float | None) -> bool:
        """Return whether all ranks exit within `timeout` s; receive failed ranks."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._test_all():
            if self._broken:
                return False
            self._drain()
            if end is not None and time.monotonic() > end:
                return False
            time.sleep(POLL_SECONDS)
        while len(self._failed) < self._num_failed[0]:
            self._drain()
            time.sleep(POLL_SECONDS)
        return True

    def _test_all(self) -> bool:
        try:
            return not self._broken and bool(self._all_exit.Test())
        except MPI.Exception as error:
            self._broken = is_proc_failure(error)
            if not self._broken:
                raise
            return False

    def _drain(self) -> None:
        """Receive the numbers of failed ranks."""
        rank = np.zeros(1, dtype=np.int64)
        while (message := self._comm.Improbe()) is not None:
            message.Recv(rank)
            self._failed.add(int(rank[0]))

    def _is_lowest_failed(self) -> bool:
        return self._comm.rank == min(self._failed)


def report(error: BaseException, world: WorldLike, code: int, alone: bool) -> str:
    """Return the message about the exit of a rank. Local.

    Errors of this package have no traceback; a ``sys.exit`` on all ranks has only its
    own text.
    """
    if isinstance(error, SystemExit) and not alone:
        return "" if isinstance(error.code, int | None) else f"{error.code}\n"
    title = _title(error, world)
    if isinstance(error, MpiAppsError):
        return f"{title}\n"
    lines = "".join(traceback.format_exception(error))
    if code == RankExited.exit_code:
        title += ", while other ranks were still running"
    return f"{title}\n{lines}"


def _title(error: BaseException, world: WorldLike) -> str:
    location = f" on {world}" if world.size > 1 else ""
    match error:
        case Checkpointed():
            return f"mpiapps: {error}"
        case MpiAppsError():
            return f"mpiapps: error{location}: {error}"
        case Terminated():
            return f"mpiapps: stopped by signal {error.code - 128}{location}"
        case KeyboardInterrupt():
            return f"mpiapps: interrupted{location}"
        case SystemExit():
            return f"mpiapps: sys.exit({error.code!r}){location}"
        case _:
            return f"mpiapps: {type(error).__name__}{location}"


def _grace(error: BaseException, code: int) -> float:
    if isinstance(error, Terminated | KeyboardInterrupt):
        return SIGNAL_GRACE
    return PEER_GRACE if code else EXIT_GRACE
