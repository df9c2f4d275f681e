"""One running command: child processes in a session of their own, with limits.

A crash, an exit or a hang of the command does not affect the process that started it.
The child is spawned, never forked from a process with MPI in it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from resource import struct_rusage
from typing import Any

from mpiapps.base.streams import abbreviated
from mpiapps.taskfarm.output_files import is_stream, part_file

STOPPED = "stopped"  # reason of a command that was terminated because the run stops
GRACE_SECONDS = 5.0  # from SIGTERM to SIGKILL
STUCK_SECONDS = 5.0  # from SIGKILL until it counts as unkillable, as on a lost disk
NEVER = float("inf")
MAX_COMMAND = 128 * 1024  # bytes, with a zero byte: MAX_ARG_STRLEN of Linux
BACKGROUND_NOTICE = 60.0  # s in the background, after which a notice is printed


@dataclass(frozen=True)
class Limits:
    """Resource limits of a command.

    Attributes
    ----------
    seconds : float
        Wall time; 0: no limit.
    memory : int
        Resident bytes of all its processes; 0: no limit.
    """

    seconds: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class TaskExit:
    """Exit status and resource usage of a command.

    Attributes
    ----------
    code : int
        Exit code, or minus the number of the signal that killed it.
    reason : {"", "time", "memory", "stopped", "not started", "lost"} or str
        Why it was terminated; empty if it ended by itself.
    seconds, cpu : float
        Wall time, and CPU time of all its processes that were waited for, s.
    memory : int
        Peak resident bytes.
    """

    code: int
    reason: str = ""
    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0


class TaskProcess:
    """A running command.

    The helper waits for its processes and passes their status to `add_usage`;
    `due_signal` returns the signal for those that remain.

    Parameters
    ----------
    command : str
        As for ``sh -c``.
    log : str
        Absolute path of the file for standard output and standard error.
    stdout : str, optional
        Absolute path of a file for standard output, no symbolic link. A device or a
        FIFO is written to directly; else its `part_file` is, whose directory is made.
    environ : mapping
        Its whole environment.
    directory : str, optional
        Working directory.
    shell : str, optional
        Path of the shell.
    limits : Limits

    Attributes
    ----------
    pid : int
        Process ID of the shell, also its session ID; 0 if it did not start.
    """

    def __init__(  # noqa: PLR0913 - independent; a class for them would serve this call alone
        self,
        command: str,
        log: str,
        environ: Mapping[str, str],
        directory: str = "",
        *,
        stdout: str = "",
        shell: str = "/bin/sh",
        limits: Limits | None = None,
    ) -> None:
        self._command, self._limits = command, limits or Limits()
        self._start = time.monotonic()
        self._reason, self._peak, self._cpu = "", 0, 0.0
        self._code: int | None = None  # of the shell, once it has ended
        # Times: the shell exited, SIGTERM was sent, SIGKILL was sent.
        self._exited = self._terminated = self._killed = NEVER
        self.pid = 0
        try:
            with ExitStack() as stack:
                # First: no part of it is created.
                stack.enter_context(_changed_directory(directory))
                files = _log_actions(log, stdout, stack)
                self.pid = _spawn(shell, command, environ, files)
        except (OSError, ValueError) as error:
            # No such directory; no space for a log or a process; a zero byte.
            self._code, self._reason = 127, "not started"
            text = error.strerror if isinstance(error, OSError) else error
            if isinstance(error, OSError) and error.errno == errno.E2BIG:
                text = f"{text}: {_what_is_too_long(command, environ)}"
            with suppress(OSError, ValueError):
                Path(log).write_text(f"mpiapps: cannot start: {text}\n")

    @property
    def is_running(self) -> bool:
        """Whether the shell itself has not ended."""
        return self._code is None

    @property
    def limited(self) -> bool:
        """Whether `due_signal` must be called periodically."""
        return bool(self._reason or self._limits.seconds or self._limits.memory)

    @property
    def limits_memory(self) -> bool:
        """Whether `due_signal` needs its resident bytes."""
        return bool(self._limits.memory)

    def add_usage(self, pid: int, status: int, usage: struct_rusage) -> None:
        """Add the usage of one of its processes, which was waited for."""
        self._cpu += usage.ru_utime + usage.ru_stime
        self._peak = max(self._peak, usage.ru_maxrss * 1024)
        if pid == self.pid:
            self._code = os.waitstatus_to_exitcode(status)
            self._exited = time.monotonic()

    def stop(self, reason: str = STOPPED) -> None:
        """Make `due_signal` return SIGTERM, and SIGKILL after the grace period."""
        self._reason = self._reason or reason

    def kill_remaining(self) -> None:
        """Make `due_signal` return SIGKILL: the command itself has ended."""
        self._terminated = -NEVER

    def due_signal(self, resident: int = 0) -> int:
        """Return the signal to send to all its processes now; 0 for none.

        Parameters
        ----------
        resident : int
            Their resident bytes, if it `limits_memory`.
        """
        now = time.monotonic()
        self._peak = max(self._peak, resident)
        if not self._reason and self._limits.memory and resident > self._limits.memory:
            self._reason, self._terminated = "memory", -NEVER  # kill at once
        if self._limits.seconds and now - self._start >= self._limits.seconds:
            self.stop("time")
        # Background processes of a failed command are useless; those of a command that
        # was terminated may save their state.
        if self._code and not self._reason:
            self.kill_remaining()
        elif now - self._exited >= BACKGROUND_NOTICE:
            self._exited = NEVER
            sys.stderr.write(
                f"mpiapps: {abbreviated(self._command)}: ended"
                f" {BACKGROUND_NOTICE:.0f} s ago; waiting for its background"
                " processes\n"
            )
        if self._reason and self._terminated > now:
            self._terminated = now
            return signal.SIGTERM
        if now - self._terminated < GRACE_SECONDS:
            return 0
        self._killed = min(self._killed, now)
        return signal.SIGKILL

    @property
    def stuck(self) -> bool:
        """Whether it was killed and has not ended."""
        return time.monotonic() - self._killed > STUCK_SECONDS

    def result(self) -> TaskExit:
        """Return its exit status and usage, once it has no process left."""
        code = -signal.SIGKILL if self._code is None else self._code
        if self._reason and code == 0:  # terminated before it was done
            code = -signal.SIGTERM
        seconds = time.monotonic() - self._start if self.pid else 0.0
        return TaskExit(code, self._reason, seconds, self._cpu, self._peak)


def _what_is_too_long(command: str, environ: Mapping[str, str]) -> str:
    """Return what makes E2BIG of a command, and the remedy."""
    if (n := len(os.fsencode(command))) >= MAX_COMMAND:
        return f"{n} bytes; write the command to a script, and run that"
    sizes = {k: len(os.fsencode(f"{k}={v}")) + 1 for k, v in environ.items()}
    name = max(sizes, key=sizes.__getitem__, default="")
    return (
        f"the environment has {sum(sizes.values())} bytes, and its largest variable,"
        f" {name}, {sizes.get(name, 0)}; unset what the command does not need"
    )


def _log_actions(log: str, stdout: str, stack: ExitStack) -> list[tuple[Any, ...]]:
    """Return the file actions that open standard output and standard error.

    `stack` closes what they use. A log that exists is of an attempt that was lost, to
    which its processes may still write.
    """
    Path(log).unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT
    if not stdout:
        log_action = (os.POSIX_SPAWN_OPEN, 1, log, flags | os.O_APPEND, 0o666)
        return [log_action, (os.POSIX_SPAWN_DUP2, 1, 2)]
    path = Path(stdout)
    log_action = (os.POSIX_SPAWN_OPEN, 2, log, flags | os.O_APPEND, 0o666)
    if is_stream(path):
        if path.is_fifo():
            stack.callback(os.close, descriptor := _open_fifo(stdout))
            return [(os.POSIX_SPAWN_DUP2, descriptor, 1), log_action]
        stream_flags = os.O_WRONLY | os.O_NOCTTY  # a session may get a terminal else
        return [(os.POSIX_SPAWN_OPEN, 1, stdout, stream_flags, 0), log_action]
    part = part_file(path)
    part.parent.mkdir(parents=True, exist_ok=True)
    if not is_stream(part):  # a process of a lost attempt may still write to it
        part.unlink(missing_ok=True)
    return [
        (os.POSIX_SPAWN_OPEN, 1, str(part), flags | os.O_EXCL, 0o666),
        log_action,
    ]


def _open_fifo(fifo: str) -> int:
    """Return a descriptor to write to a FIFO; raise `OSError` if nobody reads it.

    To open it in the task would block this process, also if its reader has just ended.
    """
    try:
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        reason = "nobody reads this FIFO: start its reader first"
        raise OSError(errno.ENXIO, reason, fifo) from None
    os.set_blocking(descriptor, True)
    return descriptor


@contextmanager
def _changed_directory(directory: str) -> Iterator[None]:
    """Change to a directory, if one is given, and back at the end."""
    if not directory:
        yield
        return
    old_directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.chdir(directory)  # this process has one thread, so no other is affected
        yield
    finally:
        os.fchdir(old_directory)
        os.close(old_directory)


def _spawn(
    shell: str,
    command: str,
    environ: Mapping[str, str],
    files: Sequence[tuple[Any, ...]],
) -> int:
    """Start a shell in a session of its own; return its pid."""
    if command[:1] in ("-", "+"):  # else the shell would parse it as an option
        command = f" {command}"
    return os.posix_spawn(
        shell,
        [Path(shell).name, "-c", command],
        environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), *files],
        setsid=True,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores these
    )
