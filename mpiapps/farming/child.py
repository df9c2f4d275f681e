"""One command, done by a child process in a session of its own, within its limits.

A crash, an exit or a hang of the command is the child's; the process that began it goes
on. The child is started by exec, never as a copy of a process that has MPI in it.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mpiapps.base.session import end_session, resident, signal_session

STOPPED = "stopped"  # why a command was ended that had done no wrong
GRACE = 5.0  # s from the end signal to the kill
SOONEST, LATEST = 0.001, 0.2  # s between looks at a child and its limits


@dataclass(frozen=True)
class Limits:
    """What a command may take.

    Attributes
    ----------
    seconds : float
        Of wall time; 0 for any.
    memory : int
        Bytes resident in all processes of its session; 0 for any.
    """

    seconds: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it took.

    Attributes
    ----------
    code : int
        Its exit code, or minus the number of the signal that it died of.
    why : {"", "time", "memory", "stopped", "not started", "lost"}
        Why it was ended; empty if it ended by itself.
    seconds, cpu : float
        Of wall time, and of processor time with all children that it waited for, s.
    memory : int
        The most that was seen resident, bytes.
    """

    code: int
    why: str
    seconds: float
    cpu: float
    memory: int


class Child:
    """A command at work. Local.

    Parameters
    ----------
    command : str
        As for ``sh -c``.
    log : str
        Gets standard output and standard error; an absolute path.
    environ : mapping
        All of its environment.
    folder : str, optional
        Where it works.
    limits : Limits
    """

    def __init__(
        self,
        command: str,
        log: str,
        environ: Mapping[str, str],
        folder: str = "",
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._start = time.monotonic()
        self._why, self._most, self._told = "", 0, 0.0
        self._ended: Ended | None = None
        self.pid, self._watched = 0, -1
        try:
            self.pid = _spawned(command, log, environ, folder)
            self._watched = os.pidfd_open(self.pid)
        except (OSError, ValueError) as error:
            # Its folder is gone; no room for a log or a process; a zero byte in it.
            if self.pid:  # an old kernel, or no file numbers left
                return
            self._ended = Ended(127, "not started", 0.0, 0.0, 0)
            why = error.strerror if isinstance(error, OSError) else error
            with suppress(OSError, ValueError):
                Path(log).write_text(f"mpiapps: cannot start: {why}\n")

    def fileno(self) -> int:
        """Return a number that `select` finds readable when it has ended; or -1."""
        return self._watched

    @property
    def patience(self) -> float:
        """Seconds until it must be looked at, whether it has ended or not. Local."""
        if self._ended is None and self._watched < 0:
            return SOONEST
        limited = self._why or self._limits.seconds or self._limits.memory
        return LATEST if limited else float("inf")

    def look(self) -> Ended | None:
        """Return how it ended, or `None`; end it if it is over its limits. Local.

        What it left running is not looked for: see `end`.
        """
        if self._ended is not None:
            return self._ended
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        now = time.monotonic()
        if pid == 0:
            self._watch(now)
            return None
        if self._watched >= 0:
            os.close(self._watched)
            self._watched = -1
        code = os.waitstatus_to_exitcode(status)
        if self._why and code == 0:  # it ended well, but before it was done
            code = -signal.SIGTERM
        cpu = usage.ru_utime + usage.ru_stime
        most = max(self._most, usage.ru_maxrss * 1024)
        self._ended = Ended(code, self._why, now - self._start, cpu, most)
        return self._ended

    def wait(self) -> Ended:
        """Return how it ended, when nothing of its session is left. Local."""
        while (ended := self.look()) is None:
            pause = min(self.patience, LATEST)
            select.select([self] if self._watched >= 0 else [], [], [], pause)
        self.end()
        return ended

    def stop(self, why: str = STOPPED) -> None:
        """Ask it to end; `look` kills it if it has not after the grace. Local."""
        if not self._why:
            self._why, self._told = why, time.monotonic()
            if self.pid:
                signal_session(self.pid, signal.SIGTERM)

    def end(self) -> None:
        """Kill it, if it is at work, and all that is in its session. Local."""
        if self.pid:
            end_session(self.pid, GRACE)

    def _watch(self, now: float) -> None:
        if self._why:
            if now - self._told >= GRACE:
                signal_session(self.pid, signal.SIGKILL)
            return
        if self._limits.seconds and now - self._start >= self._limits.seconds:
            self.stop("time")
        elif self._limits.memory:
            held = resident(self.pid)
            self._most = max(self._most, held)
            if held > self._limits.memory:  # there is no time to ask
                self._why, self._told = "memory", now
                signal_session(self.pid, signal.SIGKILL)


def _spawned(command: str, log: str, environ: Mapping[str, str], folder: str) -> int:
    """Start a shell in a session of its own; return its pid."""
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY) if folder else -1
    try:
        if folder:  # there is one thread, so nobody else is moved
            os.chdir(folder)
        return os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", command],
            environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (
                    os.POSIX_SPAWN_OPEN,
                    1,
                    log,
                    os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                    0o666,
                ),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores these
        )
    finally:
        if here >= 0:
            os.fchdir(here)
            os.close(here)
