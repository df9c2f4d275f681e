"""When a run stops before its end: at a warning signal, a deadline, or a limit."""

from __future__ import annotations

import atexit
import math
import os
import signal
import threading
import time
from collections.abc import Mapping
from types import FrameType

from mpiapps.base.errors import LaunchError

# Set by the job script: seconds since 1970 at which the program should stop and save.
DEADLINE = "MPIAPPS_DEADLINE"
# The number of this start of the run, counted by the job script from 1.
ATTEMPT = "MPIAPPS_ATTEMPT"


class Deadline:
    """The end of this run's time.

    Parameters
    ----------
    seconds : float, optional
        A limit from now, besides the deadline of the job script.
    environ : mapping, optional
        Where the job script's deadline is read from.

    Raises
    ------
    LaunchError
        If the deadline there is not a number.

    Attributes
    ----------
    stop_requested : bool
        Whether SIGUSR1 has come since `install`.
    """

    def __init__(
        self, seconds: float = float("inf"), environ: Mapping[str, str] = os.environ
    ) -> None:
        self._deadline = _number(environ, DEADLINE, float("inf"))
        self._limit = time.monotonic() + seconds
        self._chained: Deadline | None = None
        self.stop_requested = False

    def install(self) -> Deadline:
        """Record SIGUSR1 instead of dying of it; return this object.

        SIGUSR1 is the one signal that mpiexec of every MPI and srun forward to ranks.
        Another `Deadline` of this process still gets it; a handler of the user's own
        stays. Only the main thread may install handlers: elsewhere it does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            return self
        handler = signal.getsignal(signal.SIGUSR1)
        owner = getattr(handler, "__self__", None)
        if handler is signal.SIG_DFL:
            atexit.register(_ignore_signals)
        elif isinstance(owner, Deadline):
            self._chained = owner
        else:
            return self
        signal.signal(signal.SIGUSR1, self._on_signal)
        return self

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stop_requested = True
        if self._chained is not None:
            self._chained._on_signal(number, frame)

    def remaining(self) -> float:
        """Return the seconds until the run is to stop; 0 after SIGUSR1."""
        if self.stop_requested:
            return 0.0
        until = min(self._deadline - time.time(), self._limit - time.monotonic())
        return max(0.0, until)


def _ignore_signals() -> None:
    """Ignore signals once the exit code is decided.

    Python resets handlers while it ends; the default action would kill the process.
    """
    for number in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def attempt(environ: Mapping[str, str] = os.environ) -> int:
    """Return the number of this start of the run, from 1."""
    return int(_number(environ, ATTEMPT, 1))


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    """Return the number in a variable of the job script."""
    text = environ.get(name, "")
    try:
        number = float(text or default)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise LaunchError(
            f"{name}={text!r} is not a number; only job scripts set it: unset it"
        )
    return number
