"""When to stop before the end: a warning signal, or the deadline of the job script."""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from collections.abc import Mapping
from types import FrameType

# Set by the job script: seconds since 1970 at which the program should stop and save.
DEADLINE = "MPIAPPS_DEADLINE"
# Which start of the run this is, counted by the job script from 1.
ATTEMPT = "MPIAPPS_ATTEMPT"

_warned = False
_until = float("inf")  # of time.monotonic


def watch() -> None:
    """Remember SIGUSR1 instead of dying of it. Local; early, before slow imports.

    It is the one signal that mpiexec of every MPI and srun hand to their ranks.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may install handlers
    if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, _remember)
        atexit.register(_ignore)


def _ignore() -> None:
    """Ignore what comes once the exit code is decided. Local.

    Python gives signals back to the system while it ends, which would kill the process.
    """
    for number in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def limit(seconds: float) -> None:
    """Let the run end, at a safe point, when `seconds` have passed. Local."""
    global _until  # noqa: PLW0603 - the limit is the process's
    _until = time.monotonic() + seconds


def warned() -> bool:
    """Return whether this process was warned. Local."""
    return _warned


def overdue(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether the job's deadline or the run's limit has passed. Local."""
    text = environ.get(DEADLINE, "")
    passed = text.isdigit() and time.time() >= int(text)
    return passed or time.monotonic() >= _until


def left(environ: Mapping[str, str] = os.environ) -> float:
    """Return the seconds until the deadline or the run's limit; 0 if warned. Local."""
    if _warned or overdue(environ):
        return 0.0
    text = environ.get(DEADLINE, "")
    deadline = int(text) - time.time() if text.isdigit() else float("inf")
    return min(deadline, _until - time.monotonic())


def attempt(environ: Mapping[str, str] = os.environ) -> int:
    """Return which start of the run this is, from 1. Local."""
    text = environ.get(ATTEMPT, "")
    return int(text) if text.isdigit() else 1


def _remember(_number: int, _frame: FrameType | None) -> None:
    global _warned  # noqa: PLW0603 - a signal comes to the process
    _warned = True
