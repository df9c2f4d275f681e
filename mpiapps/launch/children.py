"""Child processes that end with the block that started them, also by a signal."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO, Any

from mpiapps.base.errors import Terminated

ENDING = (signal.SIGTERM, signal.SIGHUP)  # their default action ends this process alone
GRACE_SECONDS = 5.0  # from SIGTERM to SIGKILL

Process = subprocess.Popen[bytes]


class Children:
    """Start processes, and end those that still run when the block ends.

    Local; a context manager for the main thread. SIGTERM and SIGHUP raise `Terminated`
    in the block, as SIGINT raises `KeyboardInterrupt`; while a process starts or ends,
    they wait.

    Parameters
    ----------
    end : callable, optional
        Ends the processes; those that still ran have got SIGTERM. `kill_after_grace`
        by default.
    """

    def __init__(
        self, end: Callable[[Sequence[Process]], object] | None = None
    ) -> None:
        self._end = end or kill_after_grace
        self._processes: list[Process] = []
        self._previous: dict[int, Any] = {}

    def start(
        self, argv: Sequence[str], output: IO[bytes], env: Mapping[str, str]
    ) -> Process:
        """Start a process with its own session, no input, and one file for output."""
        with signals_deferred():
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env,
                start_new_session=True,  # this process handles Ctrl-C
            )
            self._processes.append(process)
        return process

    def __enter__(self) -> Children:
        """Let signals raise that are not ignored, as SIGHUP is under nohup."""
        for number in ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._previous[number] = signal.signal(number, _terminate)
        return self

    def __exit__(self, *exc: object) -> None:
        """End the processes, and restore the handlers."""
        try:
            with signals_deferred():
                for process in self._processes:
                    process.terminate()
                self._end(self._processes)
        finally:
            for number, handler in self._previous.items():
                signal.signal(number, handler)


def _terminate(number: int, _frame: FrameType | None) -> None:
    raise Terminated(128 + number)


def kill_after_grace(processes: Sequence[Process]) -> None:
    """Wait `GRACE_SECONDS` for the end of `processes`, then kill those that run."""
    limit = time.monotonic() + GRACE_SECONDS
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, limit - time.monotonic()))
        process.kill()
        process.wait()


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Handle SIGINT and those of `ENDING` after the block. Local; for the main thread.

    Blocked signals would stay blocked in a process that is started in the block.
    """
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING)}
    previous: dict[int, Any] = {
        n: h for n, h in handlers.items() if h is not signal.SIG_IGN
    }
    for number in previous:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for late in received:
            signal.raise_signal(late)
