"""The process that runs commands for a rank: see `mpiapps.taskfarm.supervisor`.

Orphans of a command are reparented to it (a subreaper), so that it can find every
process. Orphans in the session of the command belong to the task and are waited for;
those that began a session of their own are daemons, and are killed with it.

usage: python -m mpiapps.taskfarm.helper [CPUS], started by `Supervisor`
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from mpiapps.base.processes import ProcessTree, process, send_signal
from mpiapps.taskfarm.task_process import Limits, TaskProcess

SET_CHILD_SUBREAPER = 36  # man 2 prctl
TASK_ID = "MPIAPPS_TASK"  # environment variable with the task that owns a process
READ_BYTES = 2**16
# Seconds between polls: with unsent replies, with limits to enforce, otherwise.
REPLY_POLL, LIMIT_POLL, IDLE_POLL = 0.01, 0.2, 10.0
KILL_TIMEOUT = 5.0  # s to wait for killed processes after the rank has ended


class Helper:
    """Runs commands in a single-threaded event loop."""

    def __init__(self) -> None:
        self._active: dict[str, TaskProcess] = {}
        self._sessions: dict[int, str] = {}  # pid of the shell -> task
        self._exited: set[str] = set()  # tasks whose shell has ended
        self._unkillable: set[int] = set()  # pids that survive SIGKILL
        self._input = self._output = b""
        os.set_blocking(1, False)  # else both sides could wait for the other to read
        self._environ: dict[str, str] = {}
        path = f"/proc/self/task/{os.getpid()}/children"
        self._children = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._last_check = time.monotonic()
        # SIGCHLD writes a byte to a pipe; `poll` has no limit on descriptors.
        self._wake, end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(end, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Execute the orders from standard input until end of file."""
        try:
            while self._step():
                pass
        finally:  # also when standard output is closed
            self._kill_all()

    def _step(self) -> bool:
        """Wait for an event and handle it; return false once the rank has ended."""
        limited = self._exited or any(task.limited for task in self._active.values())
        timeout = REPLY_POLL if self._output else LIMIT_POLL if limited else IDLE_POLL
        ready = readable([0, self._wake], timeout)
        if self._wake in ready:
            self._drain_wakeups()
        if 0 in ready and not self._read_orders():
            return False
        self._reap()
        if time.monotonic() - self._last_check >= timeout:
            self._last_check = time.monotonic()
            self._enforce_limits()
        if self._exited or not self._active:
            self._finish()
        return self._send()

    def _drain_wakeups(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake, READ_BYTES)

    def _read_orders(self) -> bool:
        """Execute the orders received; return false at end of file."""
        data = os.read(0, READ_BYTES)
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if not self._environ:
                self._environ = order
            elif order:
                self._start(**order)
            else:
                for task in self._active.values():
                    task.stop()
                self._last_check = 0.0
        return bool(data)

    def _start(
        self, name: str, environ: Mapping[str, str], seconds: float, memory: int,
        **order: Any,
    ) -> None:  # fmt: skip
        environ = {**self._environ, **environ}
        task = TaskProcess(environ=environ, limits=Limits(seconds, memory), **order)
        self._active[name] = task
        if task.pid:
            self._sessions[task.pid] = name
        if not task.is_running:
            self._exited.add(name)

    def _reap(self) -> None:
        """Wait for all children that have ended, orphans included."""
        with suppress(ChildProcessError):
            while (ended := os.wait4(-1, os.WNOHANG))[0]:
                pid = ended[0]
                self._unkillable.discard(pid)
                name = self._sessions.get(pid)
                if name is not None:
                    self._active[name].add_usage(*ended)
                    self._exited.add(name)

    def _enforce_limits(self) -> None:
        """Signal the processes of tasks that exceed a limit or are to stop."""
        orphans, tree = self._orphans(), cache(ProcessTree)
        for name, task in self._active.items():
            if task.limited and name not in self._exited:
                roots = [task.pid, *orphans.get(name, ())]
                resident = tree().resident(roots) if task.limits_memory else 0
                self._signal(name, roots, tree, resident)

    def _finish(self) -> None:
        """Report the tasks that have no process left."""
        orphans, tree = self._orphans(), cache(ProcessTree)
        if self._exited and len(self._exited) == len(self._active):
            orphans.setdefault(min(self._exited), []).extend(orphans.pop("", ()))
        for name in list(self._exited):
            task, remaining = self._active[name], orphans.get(name, [])
            if remaining and not task.stuck:
                if not any(map(self._in_task_session, remaining)):
                    task.kill_remaining()
                resident = tree().resident(remaining) if task.limits_memory else 0
                self._signal(name, remaining, tree, resident)
                continue
            del self._active[name]
            self._exited.remove(name)
            self._sessions.pop(task.pid, None)
            reply = {"name": name, **vars(task.result())}
            self._output += json.dumps(reply).encode() + b"\n"
        if not self._active:
            send_signal(tree().below(orphans.pop("", ())), signal.SIGKILL)

    def _send(self) -> bool:
        """Write as many replies as fit; return false if the reader has ended."""
        try:
            if self._output:
                self._output = self._output[os.write(1, self._output) :]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def _signal(
        self,
        name: str,
        roots: list[int],
        tree: Callable[[], ProcessTree],
        resident: int = 0,
    ) -> None:
        """Send the signal that is due to the processes of a task and their children."""
        task = self._active[name]
        if number := task.due_signal(resident):
            send_signal(tree().below(roots), number)
        if task.stuck:
            self._unkillable.update(roots)
            self._exited.add(name)

    def _orphans(self) -> dict[str, list[int]]:
        """Return the orphaned children by task.

        Those of an unknown task are under "": they are left alone while tasks run.
        """
        orphans: dict[str, list[int]] = {}
        for pid in set(map(int, self._read_children().split())) - self._unkillable:
            if pid not in self._sessions:
                orphans.setdefault(self._task_of(pid), []).append(pid)
        return orphans

    def _task_of(self, pid: int) -> str:
        """Return the active task of a process, by its session or its environment."""
        status = process(pid)
        name = self._sessions.get(status.session) if status is not None else None
        name = name or task_id_of(pid).partition("/")[2]
        return name if name in self._active else ""

    def _in_task_session(self, pid: int) -> bool:
        """Return whether an orphan is in the session of its task: not a daemon."""
        status = process(pid)
        return status is not None and status.session in self._sessions

    def _read_children(self) -> bytes:
        data, chunk = b"", b"?"
        while chunk:
            chunk = os.pread(self._children, READ_BYTES, len(data))
            data += chunk
        return data

    def _kill_all(self) -> None:
        """Kill all descendants, until none is left or `KILL_TIMEOUT` has passed."""
        end = time.monotonic() + KILL_TIMEOUT
        while time.monotonic() < end:
            self._reap()
            pids = set(map(int, self._read_children().split())) - self._unkillable
            if not pids:
                return
            send_signal(ProcessTree().below(pids), signal.SIGKILL)
            readable([self._wake], REPLY_POLL)
            self._drain_wakeups()


def readable(descriptors: Iterable[int], timeout: float) -> list[int]:
    """Return the descriptors that can be read; wait up to `timeout` seconds for one."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(timeout * 1000)]


def task_id_of(pid: int) -> str:
    """Return the task id in the environment of a process; "" if it has none."""
    try:
        content = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return ""
    variables = (entry.partition(b"=") for entry in content.split(b"\0"))
    return next((v.decode() for k, _, v in variables if k == TASK_ID.encode()), "")


def main() -> None:
    """Serve the rank that started this process."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if cpus := sys.argv[1]:
        with suppress(OSError):  # CPUs of other ranks, which a cgroup may exclude
            os.sched_setaffinity(0, map(int, cpus.split(",")))
    Helper().serve()


if __name__ == "__main__":
    main()
