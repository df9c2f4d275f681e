"""Ranks end when their launcher ends, also after SIGKILL.

Ranks are not notified when their launcher is killed. Those of Open MPI detect it at
their next message, those of MPICH and Intel MPI only through the local daemon; a rank
that sleeps or computes continues, and writes concurrently with the next run.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from functools import cache

from mpiapps.base.processes import Process, process, start_of

# Processes that run as long as the ranks that they, or their children, started.
PROCESS_NAMES = (
    "mpiexec", "mpirun", "mpiexec.hydra", "mpiexec.gforker", "hydra_bstrap_proxy",
    "hydra_pmi_proxy", "prterun", "prte", "prted", "orterun", "orted", "slurmstepd",
)  # fmt: skip
NAME_LENGTH = 15  # characters of a process name in /proc
POLL_SECONDS = 1.0
GRACE_SECONDS = 3  # for clean-up after the launcher has ended
EXIT_CODE = 128 + signal.SIGTERM


def is_launcher(candidate: Process) -> bool:
    """Return whether a process is a launcher or its daemon. Local."""
    names = {name[:NAME_LENGTH] for name in PROCESS_NAMES}
    return candidate.pid > 1 and candidate.name in names


def launchers_above(pid: int) -> list[Process]:
    """Return the launcher of process `pid` on this host, and its daemons. Local.

    Without wrappers between them and the rank, such as a shell, and without the parents
    of the launcher, such as a terminal or the rank of another run.
    """
    launchers: list[Process] = []
    parent = process(pid)
    while parent is not None and (is_launcher(parent) or not launchers):
        if is_launcher(parent):
            launchers.append(parent)
        parent = process(parent.parent) if parent.parent > 0 else None
    return launchers


@cache
def end_with_launcher() -> None:
    """Terminate this rank once its launcher, or the local daemon, has ended. Local.

    A thread sends SIGTERM, so that the rank cleans up and reports as for any signal,
    and ends it `GRACE_SECONDS` later. No-op for a process without a launcher.
    """
    launchers = launchers_above(os.getppid())
    if launchers:
        thread = threading.Thread(
            target=_watch, args=[launchers], daemon=True, name="launcher"
        )
        thread.start()


def _watch(launchers: list[Process]) -> None:
    """Poll once a second; a poll takes about 50 us."""
    while not (ended := [p for p in launchers if start_of(p.pid) != p.start]):
        time.sleep(POLL_SECONDS)
    [first, *_] = ended
    # SIGALRM with the default action, as MPI_Finalize may block all threads.
    signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS + 1)
    with suppress(OSError, ValueError):  # mpiexec was the reader of stderr
        sys.stderr.write(
            f"mpiapps: error on {socket.gethostname()}: the launcher {first.name}"
            f" (process {first.pid}) has ended; terminating this rank (process"
            f" {os.getpid()})\n"
        )
        sys.stderr.flush()
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(EXIT_CODE)
