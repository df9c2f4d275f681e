"""One command, done by child processes in a session of their own, within its limits.

A crash, an exit or a hang of the command is the child's; the process that began it goes
on. The child is started by exec, never as a copy of a process that has MPI in it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from resource import struct_rusage

STOPPED = "stopped"  # why a command was ended that had done no wrong
GRACE = 5.0  # s from the end signal to the kill
STUCK = 5.0  # s from the kill until it is believed to wait for a disk that is gone
NEVER = float("inf")
PATIENT = 60.0  # s in the background, after which a line tells of it


@dataclass(frozen=True)
class Limits:
    """What a command may take.

    Attributes
    ----------
    seconds : float
        Of wall time; 0 for any.
    memory : int
        Bytes resident in all its processes; 0 for any.
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
    why : {"", "time", "memory", "stopped", "not started", "lost"} or str
        Why it was ended; empty if it ended by itself.
    seconds, cpu : float
        Of wall time, and of processor time with all children that were waited for, s.
    memory : int
        The most that was seen resident, bytes.
    """

    code: int
    why: str = ""
    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0


class Child:
    """A command at work. Local.

    The helper that starts it waits for all processes and passes their ends to `take`;
    `due` then says what is to be done with those that are left.

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
    shell : str, optional
        The path of the shell that does it.
    limits : Limits

    Attributes
    ----------
    pid : int
        The shell's, which is also the number of the session; 0 if it did not start.
    """

    def __init__(  # noqa: PLR0913 - independent; a class for them would serve this call alone
        self,
        command: str,
        log: str,
        environ: Mapping[str, str],
        folder: str = "",
        *,
        shell: str = "/bin/sh",
        limits: Limits | None = None,
    ) -> None:
        self._command, self._limits = command, limits or Limits()
        self._start = time.monotonic()
        self._why, self._most, self._cpu = "", 0, 0.0
        self._code: int | None = None  # of the shell, once it has ended
        self._since = self._asked = self._killed = NEVER  # ended, asked, killed
        self.pid = 0
        try:
            self.pid = _spawned(shell, command, log, environ, folder)
        except (OSError, ValueError) as error:
            # Its folder is gone; no room for a log or a process; a zero byte in it.
            self._code, self._why = 127, "not started"
            why = error.strerror if isinstance(error, OSError) else error
            with suppress(OSError, ValueError):
                Path(log).write_text(f"mpiapps: cannot start: {why}\n")

    @property
    def at_work(self) -> bool:
        """Whether the shell itself has not ended."""
        return self._code is None

    @property
    def limited(self) -> bool:
        """Whether it must be looked at from time to time."""
        return bool(self._why or self._limits.seconds or self._limits.memory)

    @property
    def limits_memory(self) -> bool:
        """Whether `due` must be given the bytes that it holds."""
        return bool(self._limits.memory)

    def take(self, pid: int, status: int, usage: struct_rusage) -> None:
        """Count a process of it that has ended and was waited for."""
        self._cpu += usage.ru_utime + usage.ru_stime
        self._most = max(self._most, usage.ru_maxrss * 1024)
        if pid == self.pid:
            self._code, self._since = (
                os.waitstatus_to_exitcode(status),
                time.monotonic(),
            )

    def stop(self, why: str = STOPPED) -> None:
        """Let `due` ask it to end, and kill it if it has not after the grace."""
        self._why = self._why or why

    def finish(self) -> None:
        """Let `due` kill what is left: the command itself is done."""
        self._asked = -NEVER

    def due(self, held: int = 0) -> int:
        """Return the signal that all its processes are to get now; 0 for none.

        Parameters
        ----------
        held : int
            The bytes resident in them, if it `limits_memory`.
        """
        now = time.monotonic()
        self._most = max(self._most, held)
        if not self._why and self._limits.memory and held > self._limits.memory:
            self._why, self._asked = "memory", -NEVER  # there is no time to ask
        if self._limits.seconds and now - self._start >= self._limits.seconds:
            self.stop("time")
        if self._code:  # what a failed command left is of no use
            self.finish()
        elif now - self._since >= PATIENT:
            self._since = NEVER
            sys.stderr.write(
                f"mpiapps: {self._command[:200]}: ended {PATIENT:.0f} s ago, and what"
                " it left in the background is waited for\n"
            )
        if self._why and self._asked > now:
            self._asked = now
            return signal.SIGTERM
        if now - self._asked < GRACE:
            return 0
        self._killed = min(self._killed, now)
        return signal.SIGKILL

    @property
    def stuck(self) -> bool:
        """Whether it was killed, and did not end for all that."""
        return time.monotonic() - self._killed > STUCK

    def ended(self) -> Ended:
        """Return how it ended, when no process of it is left."""
        code = -signal.SIGKILL if self._code is None else self._code
        if self._why and code == 0:  # it ended well, but before it was done
            code = -signal.SIGTERM
        seconds = time.monotonic() - self._start if self.pid else 0.0
        return Ended(code, self._why, seconds, self._cpu, self._most)


def _spawned(
    shell: str, command: str, log: str, environ: Mapping[str, str], folder: str
) -> int:
    """Start a shell in a session of its own; return its pid."""
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY) if folder else -1
    if command[:1] in ("-", "+"):  # else an option of the shell
        command = f" {command}"
    try:
        if folder:  # there is one thread, so nobody else is moved
            os.chdir(folder)
        return os.posix_spawn(
            shell,
            [Path(shell).name, "-c", command],
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
