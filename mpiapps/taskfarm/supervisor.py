"""Runs commands through a helper process, and leaves none behind.

A rank that is killed cannot kill the children of its tasks. The helper process has no
MPI in it; it reads orders from standard input, one JSON line each, and writes replies
to standard output. When its input ends, because the rank finished or died, it kills
the running commands: see `helper`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from mpiapps.base.processes import process, processes, send_signal
from mpiapps.taskfarm.helper import READ_BYTES, TASK_ID, readable, task_id_of
from mpiapps.taskfarm.task_process import TaskExit

SILENCE_LIMIT = 10.0  # s without a reply, after which the helper's state is checked


class Supervisor:
    """The rank's side of one helper, which runs commands concurrently.

    Parameters
    ----------
    cpus : collection of int
        CPUs that commands may use; empty: those of this process.
    environ : mapping, optional
        Environment of the commands; orders may add to it.
    """

    def __init__(
        self, cpus: Collection[int] = (), environ: Mapping[str, str] | None = None
    ) -> None:
        self._environ = dict(os.environ if environ is None else environ)
        self._cpus = ",".join(map(str, sorted(cpus)))
        self._tag = f"{os.getpid()}.{time.time_ns()}"  # unique to this supervisor
        self._process: subprocess.Popen[bytes] | None = None
        self._running: dict[str, float] = {}  # name -> start
        self._input = b""
        self._last_reply = time.monotonic()

    @property
    def busy(self) -> bool:
        """Whether commands are running."""
        return bool(self._running)

    def start(self, name: str, order: Mapping[str, Any]) -> None:
        """Start a command.

        `order` holds the arguments of `TaskProcess` and of `Limits` by name, and is
        JSON-serialisable.
        """
        if not self._running:
            self._last_reply = time.monotonic()
        self._running[name] = time.monotonic()
        environ = {**order["environ"], TASK_ID: f"{self._tag}/{name}"}
        line = json.dumps({**order, "name": name, "environ": environ}).encode() + b"\n"
        with suppress(OSError):  # the helper was killed: `poll` reports it
            helper = self._helper()
            assert helper.stdin is not None
            helper.stdin.write(line)
            helper.stdin.flush()

    def stop(self) -> None:
        """Terminate all running commands; kill those that do not end in time."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.write(b"{}\n")
                self._process.stdin.flush()

    def fileno(self) -> int:
        """Return the descriptor of the replies; -1 without a helper."""
        out = self._process.stdout if self._process is not None else None
        return -1 if out is None else out.fileno()

    def poll(self) -> list[tuple[str, TaskExit]]:
        """Return the commands that have ended, and their exits, without waiting."""
        if not self._running:
            return []
        descriptor = self.fileno()
        if descriptor >= 0 and not readable([descriptor], 0):
            self._warn_if_stopped()
            return []
        self._last_reply = time.monotonic()
        data = os.read(descriptor, READ_BYTES) if descriptor >= 0 else b""
        if not data:  # the helper was killed: out of memory, or by a user
            return self._lost()
        *lines, self._input = (self._input + data).split(b"\n")
        replies = [json.loads(line) for line in lines]
        for reply in replies:
            del self._running[reply["name"]]
        return [(reply.pop("name"), TaskExit(**reply)) for reply in replies]

    def close(self) -> None:
        """End the helper and kill the running commands."""
        if self._process is not None:
            with suppress(OSError), self._process:
                pass
            self._process, self._input = None, b""

    def _lost(self) -> list[tuple[str, TaskExit]]:
        """Kill the processes of a killed helper; return its commands as lost."""
        self.close()
        kill_tagged(self._tag)
        now = time.monotonic()
        lost = [
            (name, TaskExit(-signal.SIGKILL, "lost", now - start))
            for name, start in self._running.items()
        ]
        self._running = {}
        return lost

    def _warn_if_stopped(self) -> None:
        """Warn if the helper cannot reply because it was stopped (SIGSTOP)."""
        if time.monotonic() - self._last_reply < SILENCE_LIMIT or self._process is None:
            return
        self._last_reply = time.monotonic()
        status = process(self._process.pid)
        if status is not None and status.state == "T":
            sys.stderr.write(
                f"mpiapps: process {status.pid}, which runs the tasks of this host, is"
                f" stopped; resume it with: kill -CONT {status.pid}\n"
            )
            sys.stderr.flush()

    def _helper(self) -> subprocess.Popen[bytes]:
        """Return the helper process; start it first if there is none."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mpiapps.taskfarm.helper", self._cpus],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # the rank handles Ctrl-C
            )
            assert self._process.stdin is not None
            text = json.dumps(self._environ)
            self._process.stdin.write(text.encode() + b"\n")
        return self._process


def wait_for(supervisors: Iterable[Supervisor], timeout: float) -> None:
    """Wait up to `timeout` seconds for a reply, or for the end of a busy helper."""
    descriptors = [each.fileno() for each in supervisors if each.busy]
    if descriptors and min(descriptors) >= 0:
        readable(descriptors, timeout)


def kill_tagged(tag: str) -> None:
    """Kill the processes of the tasks of a supervisor."""
    tagged = [each.pid for each in processes() if task_id_of(each.pid).startswith(tag)]
    send_signal(tagged, signal.SIGKILL)
