"""What ends a script from outside: raised in its main thread, whatever it waits for."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from mpiapps.base import stopping
from mpiapps.base.errors import Stopped, exit_code
from mpiapps.base.streams import write_err

EVERY = 0.1  # s between looks
LAST = 8.0  # s that the main thread has, if the run cannot go on at all


class StopAsked(SystemExit):
    """The run is to stop: its time is nearly over. ``code`` is 75.

    As `KeyboardInterrupt` it passes ``except Exception``; catch it to save what is done
    and raise it again. The cluster is still there.
    """

    code: int


def time_is_over() -> StopAsked | None:
    """Return what to raise if the run was warned, or its deadline has come. Local."""
    return StopAsked(Stopped.exit_code) if stopping.left() <= 0 else None


class Watch:
    """Raises in the main thread what `wrong` returns. Local; a context manager.

    Parameters
    ----------
    wrong : callable
        Called often, on a thread of its own: returns an exception, or `None`.

    Notes
    -----
    Python runs the handler of a signal in the main thread, also while that waits for a
    result: so the thread sends SIGUSR1 to it. A handler that was there before gets the
    signals of others. Python drops what is raised in a finaliser, such as
    ``Future.__del__``: then it is raised again. Of an error that is not `StopAsked`, a
    main thread which does not come back to Python within `LAST` s is not waited for.
    """

    def __init__(self, wrong: Callable[[], BaseException | None]) -> None:
        self._wrong = wrong
        self._error: BaseException | None = None  # to be raised
        self._raised: BaseException | None = None
        self._over = threading.Event()
        self._main = threading.main_thread()

    def __enter__(self) -> Watch:
        """Begin to look."""
        if threading.current_thread() is self._main:
            stopping.watch()  # unless the program has a handler of its own
            self._hook = sys.unraisablehook
            sys.unraisablehook = self._dropped
            self._before: Any = signal.signal(signal.SIGUSR1, self._raise)
            threading.Thread(target=self._look, daemon=True, name="watch").start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Look no more."""
        if threading.current_thread() is self._main:
            signal.signal(signal.SIGUSR1, self._before)
            sys.unraisablehook = self._hook
        self._over.set()

    def _look(self) -> None:
        error = None
        while error is None:
            if self._over.wait(EVERY):
                return
            error = self._wrong()
        self._error, until = error, time.monotonic() + LAST
        while True:
            if self._error is not None:
                assert self._main.ident is not None
                signal.pthread_kill(self._main.ident, signal.SIGUSR1)
            if self._over.wait(EVERY):
                return
            if not isinstance(error, StopAsked) and time.monotonic() > until:
                self._end(error)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if self._error is not None:
            self._raised, self._error = self._error, None
            raise self._raised
        if callable(self._before):
            self._before(number, frame)

    def _dropped(self, args: sys.UnraisableHookArgs) -> None:
        if args.exc_value is not None and args.exc_value is self._raised:
            self._error = self._raised
        else:
            self._hook(args)

    def _end(self, error: BaseException) -> None:
        from mpiapps.comm.mpi import MPI

        write_err(f"mpiapps: error: {error}\n")
        time.sleep(EVERY)
        MPI.COMM_WORLD.Abort(exit_code(error))
