"""Raise an exception in the main thread from another thread, also while it waits."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import Checkpointed, exit_code
from mpiapps.base.streams import write_err

POLL_SECONDS = 0.1
ABORT_SECONDS = 8.0  # for the main thread to handle an error


class StopRequested(SystemExit):
    """The run must stop, as its time is nearly over. ``code`` is 75.

    Like `KeyboardInterrupt` it passes ``except Exception``; catch it to save results,
    and raise it again. The cluster still runs.
    """

    code: int


def stop_at(deadline: Deadline) -> Callable[[], StopRequested | None]:
    """Return a function that returns `StopRequested` once the run is to stop."""

    def stop() -> StopRequested | None:
        over = deadline.remaining() <= 0
        return StopRequested(Checkpointed.exit_code) if over else None

    return stop


class MainThreadInterrupter:
    """Raises in the main thread the exception that `check` returns. A context manager.

    Parameters
    ----------
    check : callable
        Called every 0.1 s in a separate thread; returns an exception or `None`.

    Notes
    -----
    The thread sends SIGUSR1 to the main thread, where Python runs signal handlers, also
    during a wait for a result. Signals of other origin go to the previous handler.
    Python drops exceptions in finalisers such as ``Future.__del__``; then the exception
    is raised again. If the main thread does not return to Python within `ABORT_SECONDS`
    of an error other than `StopRequested`, MPI is aborted.
    """

    def __init__(self, check: Callable[[], BaseException | None]) -> None:
        self._check = check
        self._error: BaseException | None = None  # pending
        self._raised: BaseException | None = None
        self._exited = threading.Event()
        self._main = threading.main_thread()

    def __enter__(self) -> MainThreadInterrupter:
        """Start the thread."""
        if threading.current_thread() is self._main:
            self._hook = sys.unraisablehook
            sys.unraisablehook = self._on_unraisable
            self._previous: Any = signal.signal(signal.SIGUSR1, self._raise)
            threading.Thread(target=self._poll, daemon=True, name="interrupter").start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop the thread."""
        if threading.current_thread() is self._main:
            signal.signal(signal.SIGUSR1, self._previous)
            sys.unraisablehook = self._hook
        self._exited.set()

    def _poll(self) -> None:
        error = None
        while error is None:
            if self._exited.wait(POLL_SECONDS):
                return
            error = self._check()
        self._error, until = error, time.monotonic() + ABORT_SECONDS
        while True:
            if self._error is not None:
                assert self._main.ident is not None
                signal.pthread_kill(self._main.ident, signal.SIGUSR1)
            if self._exited.wait(POLL_SECONDS):
                return
            if not isinstance(error, StopRequested) and time.monotonic() > until:
                self._abort(error)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if self._error is not None:
            self._raised, self._error = self._error, None
            raise self._raised
        if callable(self._previous):
            self._previous(number, frame)

    def _on_unraisable(self, args: sys.UnraisableHookArgs) -> None:
        if args.exc_value is not None and args.exc_value is self._raised:
            self._error = self._raised
        else:
            self._hook(args)

    def _abort(self, error: BaseException) -> None:
        from mpiapps.launch.mpi import WORLD

        write_err(f"mpiapps: error: {error}\n")
        time.sleep(POLL_SECONDS)
        WORLD.Abort(exit_code(error))
