"""The end of a rank before it is in `open_world`, and with it the end of the others.

They wait for it, in ``MPI_Init`` or later. Launchers that speak PMI, as those of MPICH
and Intel MPI do, take the end of a process that has not called it for a good one,
whatever its exit code.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import NoReturn

from mpiapps.base.errors import MpiAppsError, exit_code
from mpiapps.base.launcher import DELIVERY, YIELD, Launch, detect_launch, number
from mpiapps.base.streams import drop_out, write_err

PMI = "PMI_FD"  # the descriptor by which a rank speaks to a PMI launcher
ANSWER = 1.0  # s that the launcher has to answer to the first, and to end this rank
INIT = b"cmd=init pmi_version=1 pmi_subversion=1\n"
ABORT = "cmd=abort exitcode={}\n"


_abort: list[Callable[[int], object]] = []  # how to end all once MPI is started


def started(abort: Callable[[int], object]) -> None:
    """Let `end_all` end all ranks by `abort` from now on. Local."""
    _abort[:] = [abort]


def end_all(
    launch: Launch, code: int, text: str = "", *, alike: bool = False
) -> NoReturn:
    """Report `text` once, and end this rank and all others with `code`. Local.

    Where all ranks fail, the one that speaks does so, and ends the others before they
    do. A silent one that is still there `YIELD` seconds later has failed alone.

    Parameters
    ----------
    alike : bool
        Whether this is known to be an error of all ranks: then only one reports.
    """
    drop_out()
    if not launch.speaks:
        time.sleep(YIELD)
    if launch.speaks or (launch.ends_all and not alike):
        write_err(text)
    if launch.launcher:
        time.sleep(DELIVERY)
        (*_abort, abort_by_launcher)[0](code)
    raise SystemExit(code)


def report_uncaught() -> None:
    """Let an error that nothing catches end all ranks, until `entered`. Local."""
    several = (detect_launch(os.environ).size or 1) > 1
    if several and sys.excepthook is sys.__excepthook__:
        sys.excepthook = _uncaught


def entered() -> None:
    """Leave errors to `open_world`. Local."""
    if sys.excepthook is _uncaught:
        sys.excepthook = sys.__excepthook__


def _uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    launch = detect_launch(os.environ)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # terminal and launcher send it
    where = f"on rank {launch.rank} of {launch.size} on {socket.gethostname()}"
    if isinstance(error, MpiAppsError):
        text = f"mpiapps: error {where}: {error}\n"
    elif issubclass(kind, KeyboardInterrupt):
        text = f"mpiapps: interrupted {where}\n"
    else:
        lines = "".join(traceback.format_exception(kind, error, trace))
        text = f"mpiapps: {kind.__name__} {where}\n{lines}"
    with suppress(SystemExit):
        end_all(launch, exit_code(error), text)
    os._exit(exit_code(error))  # Python's own would be 1


def abort_by_launcher(code: int, environ: Mapping[str, str] = os.environ) -> None:
    """Ask a PMI launcher to end all ranks; return without one. Local; before MPI."""
    descriptor = number(environ, PMI)
    if descriptor is None:
        return
    with (
        suppress(OSError),  # a process that a rank has started has no such descriptor
        socket.socket(fileno=os.dup(descriptor)) as launcher,
    ):
        launcher.settimeout(ANSWER)
        launcher.sendall(INIT)
        launcher.recv(len(INIT) * 4)
        launcher.sendall(ABORT.format(code).encode())
        time.sleep(ANSWER)
