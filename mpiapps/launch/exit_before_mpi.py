"""Failure of a rank before `open_world`: terminate all ranks.

The other ranks wait for it, in ``MPI_Init`` or later. PMI launchers, such as those of
MPICH and Intel MPI, treat the exit of a process that has not called ``MPI_Init`` as
success, whatever its exit code.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import NoReturn

from mpiapps.base.errors import MpiAppsError, exit_code
from mpiapps.base.launch_environment import (
    FLUSH_DELAY,
    LOWER_RANK_DELAY,
    LaunchEnvironment,
    detect_launch,
    int_variable,
)
from mpiapps.base.streams import discard_out, write_err

PMI_FD = "PMI_FD"  # variable with the descriptor of the PMI launcher
PMI_TIMEOUT = 1.0  # s to wait for the reply to init, and for the abort
PMI_INIT = b"cmd=init pmi_version=1 pmi_subversion=1\n"
PMI_ABORT = "cmd=abort exitcode={}\n"

_abort: list[Callable[[int], object]] = []  # MPI_Abort, once MPI is started


def register_abort(abort: Callable[[int], object]) -> None:
    """Make `end_all` call `abort` from now on. Local."""
    _abort[:] = [abort]


def end_all(
    launch: LaunchEnvironment, code: int, text: str = "", *, alike: bool = False
) -> NoReturn:
    """Print `text` once and terminate all ranks with exit code `code`. Local.

    If all ranks fail, the reporting rank prints and terminates the others first. A rank
    that is still running after `LOWER_RANK_DELAY` seconds has failed alone, and prints.

    Parameters
    ----------
    alike : bool
        Whether all ranks are known to fail alike: then only one prints.
    """
    discard_out()
    if not launch.is_reporting_rank:
        time.sleep(LOWER_RANK_DELAY)
    if launch.is_reporting_rank or (launch.ends_all and not alike):
        write_err(text)
    if launch.launcher:
        time.sleep(FLUSH_DELAY)
        (*_abort, abort_by_launcher)[0](code)
    raise SystemExit(code)


def report_uncaught() -> None:
    """Make an uncaught exception terminate all ranks, until `disarm`. Local."""
    parallel = (detect_launch(os.environ).size or 1) > 1
    if parallel and sys.excepthook is sys.__excepthook__:
        sys.excepthook = _uncaught


def disarm() -> None:
    """Undo `report_uncaught`: `open_world` handles exceptions from now on. Local."""
    if sys.excepthook is _uncaught:
        sys.excepthook = sys.__excepthook__


def _uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    launch = detect_launch(os.environ)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # terminal and launcher send it
    location = f"on rank {launch.rank} of {launch.size} on {socket.gethostname()}"
    if isinstance(error, MpiAppsError):
        text = f"mpiapps: error {location}: {error}\n"
    elif issubclass(kind, KeyboardInterrupt):
        text = f"mpiapps: interrupted {location}\n"
    else:
        lines = "".join(traceback.format_exception(kind, error, trace))
        text = f"mpiapps: {kind.__name__} {location}\n{lines}"
    with suppress(SystemExit):
        end_all(launch, exit_code(error), text)
    os._exit(exit_code(error))  # Python would exit with 1


def abort_by_launcher(code: int) -> None:
    """Request a PMI launcher to abort the job; no-op without one. Local; before MPI."""
    descriptor = int_variable(os.environ, PMI_FD)
    if descriptor is None:
        return
    with (
        suppress(OSError),  # child processes of a rank do not have this descriptor
        socket.socket(fileno=os.dup(descriptor)) as launcher,
    ):
        launcher.settimeout(PMI_TIMEOUT)
        launcher.sendall(PMI_INIT)
        launcher.recv(len(PMI_INIT) * 4)
        launcher.sendall(PMI_ABORT.format(code).encode())
        time.sleep(PMI_TIMEOUT)
