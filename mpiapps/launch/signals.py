"""SIGTERM and SIGINT while the main thread is blocked inside MPI.

Python runs signal handlers between bytecodes of the main thread: a rank blocked in a
collective would handle a signal only after the collective. The C-level handler writes
the signal number to a pipe at once, though, which a thread reads.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from mpiapps.base.errors import KeyboardInterruptSignal, Terminated

SIGNALS = (signal.SIGTERM, signal.SIGINT)
DELAY = 0.05  # s for the main thread to handle the signal


def is_signal(error: BaseException) -> bool:
    """Return whether a signal raised an error, not the running code. Local.

    SIGINT has its default handler once it has raised.
    """
    if isinstance(error, KeyboardInterrupt):
        return signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    return isinstance(error, Terminated)


class SignalWatch:
    """Raise in the main thread on SIGTERM and SIGINT; if it is blocked, call `blocked`.

    Local; a context manager for the main thread. A second signal of the same kind gets
    the default action, which ends the process. Handlers installed by the user are
    kept.
    """

    def __init__(self, blocked: Callable[[int, FrameType | None], object]) -> None:
        """Set the function to call with the signal and the main thread's frame."""
        self._blocked = blocked
        self._taken = False
        self._ended = False
        self._main = threading.get_ident()
        self._forking = threading.local()
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> SignalWatch:
        """Install the handlers and start the thread."""
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread may install handlers
        ours = (signal.SIG_DFL, signal.default_int_handler)
        for number in SIGNALS:
            if signal.getsignal(number) in ours:
                self._previous[number] = signal.signal(number, self._raise)
        if not self._previous:
            return self
        os.register_at_fork(
            before=self._hold,
            after_in_parent=self._release,
            after_in_child=self._forget,
        )
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraised
        threading.Thread(target=self._watch, daemon=True, name="signals").start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Restore the handlers and end the thread."""
        if not self._previous:
            return
        self._ended = True
        signal.set_wakeup_fd(self._wakeup)
        sys.unraisablehook = self._hook
        for number, handler in self._previous.items():
            if not self._taken:
                signal.signal(number, handler)
        os.close(self._writer)

    def _hold(self) -> None:
        """Block the signals while this thread forks.

        Until `_forget` has run, the handlers of the child would write to the pipe that
        it shares with this process.
        """
        if self._previous and not self._ended:
            self._forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def _release(self) -> None:
        """Unblock the signals in the thread that forked."""
        mask = vars(self._forking).pop("mask", None)
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _forget(self) -> None:
        """Restore the handlers in a forked child, without the shared pipe."""
        if self._previous and not self._ended:
            signal.set_wakeup_fd(-1)
            for number, handler in self._previous.items():
                signal.signal(number, handler)
        self._release()

    def _raise(self, number: int, _frame: FrameType | None) -> None:
        self._taken = True
        signal.signal(number, signal.SIG_DFL)
        if number == signal.SIGINT:
            raise KeyboardInterruptSignal
        raise Terminated(128 + number)

    def _unraised(self, lost: sys.UnraisableHookArgs) -> None:
        """Send a signal again whose exception was ignored, as in a callback."""
        match lost.exc_value:
            case KeyboardInterruptSignal():
                number: int = signal.SIGINT
            case Terminated(code=code):
                number = code - 128
            case _:
                self._hook(lost)
                return
        self._taken = False
        signal.signal(number, self._raise)
        again = threading.Timer(DELAY, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()

    def _watch(self) -> None:
        while numbers := os.read(self._reader, 1):
            if numbers[0] in self._previous:
                time.sleep(DELAY)
                if not self._taken:
                    frame = sys._current_frames().get(self._main)
                    self._blocked(numbers[0], frame)
        os.close(self._reader)
