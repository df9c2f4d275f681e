"""A helper process that does commands for a rank, and outlives it by no command.

A rank cannot end the children of its tasks when it is killed itself. This process has
no MPI in it; it takes orders on standard input, a JSON line each, and answers on
standard output. When its input ends, because the rank left or died, it ends what is at
work. Orphans of a command become its own children, so that daemons are found as well.

usage: python -m mpiapps.farming.nursery [CPUS], by `Nursery`
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mpiapps.farming.child import Child, Ended, Limits

SET_CHILD_SUBREAPER = 36  # man 2 prctl
NAME = "MPIAPPS_TASK"  # of the variable that tells whose a process is
STUCK = 1.0  # s that a killed process is waited for
READ = 2**16  # bytes of answers or orders at once


class Nursery:
    """The rank's side: one helper, which does commands at the same time. Local.

    Parameters
    ----------
    cpus : collection of int
        The processors that commands may use; empty: those of this process.
    environ : mapping, optional
        What commands have in their environment besides what their orders tell.
    """

    def __init__(
        self, cpus: Collection[int] = (), environ: Mapping[str, str] | None = None
    ) -> None:
        self._environ = dict(os.environ if environ is None else environ)
        self._cpus = ",".join(map(str, sorted(cpus)))
        self._process: subprocess.Popen[bytes] | None = None
        self._begun: dict[str, float] = {}
        self._text = b""

    def start(self, name: str, order: Mapping[str, Any]) -> None:
        """Begin a command.

        `order` has the arguments of `Child` by name, limits apart, as JSON can hold
        them.
        """
        self._begun[name] = time.monotonic()
        line = json.dumps({"name": name, **order}).encode() + b"\n"
        with suppress(OSError):  # it was killed: `poll` will tell
            helper = self._started()
            assert helper.stdin is not None
            helper.stdin.write(line)
            helper.stdin.flush()

    def stop(self) -> None:
        """Ask all commands at work to end; what does not is killed a moment later."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.write(b"{}\n")
                self._process.stdin.flush()

    def poll(self, seconds: float) -> list[tuple[str, Ended]]:
        """Return which commands have ended, and how; wait for one so long."""
        if not self._begun:
            return []
        data = self._read(seconds)
        if data is None:
            return []
        if not data:  # it was killed: memory ran out, or somebody did it
            self.close()
            end_marked(self._begun)
            now = time.monotonic()
            lost = [
                (name, Ended(-signal.SIGKILL, "lost", now - start, 0.0, 0))
                for name, start in self._begun.items()
            ]
            self._begun = {}
            return lost
        *lines, self._text = (self._text + data).split(b"\n")
        answers = [json.loads(line) for line in lines]
        for answer in answers:
            del self._begun[answer["name"]]
        return [(answer.pop("name"), Ended(**answer)) for answer in answers]

    def close(self) -> None:
        """End the helper, and what is at work. Local."""
        if self._process is not None:
            with suppress(OSError), self._process:
                pass
            self._process, self._text = None, b""

    def _read(self, seconds: float) -> bytes | None:
        """Return what the helper says, nothing if it is gone, `None` if it is quiet."""
        if self._process is None or self._process.stdout is None:
            return b""
        number = self._process.stdout.fileno()
        if not select.select([number], [], [], seconds)[0]:
            return None
        return os.read(number, READ)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mpiapps.farming.nursery", self._cpus],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C is the rank's to handle
            )
            assert self._process.stdin is not None
            text = json.dumps(self._environ)
            self._process.stdin.write(text.encode() + b"\n")
        return self._process


class _Helper:
    """The helper's side."""

    def __init__(self) -> None:
        self._active: dict[str, Child] = {}
        self._text = b""
        self._environ: dict[str, str] = {}
        self._stuck: set[int] = set()  # killed, and waiting for a disk that is gone
        listed = f"/proc/self/task/{os.getpid()}/children"
        self._children = os.open(listed, os.O_RDONLY | os.O_CLOEXEC)

    def serve(self) -> None:
        """Do what comes on standard input, until it ends."""
        try:
            while self._step():
                pass
        finally:  # also if nobody reads the answers any more
            for child in self._active.values():
                child.end()
            self._active = {}
            self._end_orphans()

    def _step(self) -> bool:
        """Wait for something and see to it; return false if the rank is gone."""
        watched: list[Any] = [c for c in self._active.values() if c.fileno() >= 0]
        patience = min((c.patience for c in self._active.values()), default=1e9)
        wait = None if patience > 1e6 else patience
        ready = select.select([0, *watched], [], [], wait)[0]
        if 0 in ready and not self._take():
            return False
        try:
            self._look()
        except OSError:
            return False
        return True

    def _take(self) -> bool:
        """Begin what was ordered; return false at the end of the input."""
        data = os.read(0, READ)
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if not self._environ:
                self._environ = order
                continue
            if not order:
                for child in self._active.values():
                    child.stop()
                continue
            order["environ"] = {**self._environ, **order["environ"]}
            limits = Limits(order.pop("seconds"), order.pop("memory"))
            name = order.pop("name")
            self._active[name] = Child(limits=limits, **order)
        return bool(data)

    def _look(self) -> None:
        """Answer for those that have ended."""
        answers = []
        for name, child in list(self._active.items()):
            if (ended := child.look()) is not None:
                del self._active[name]
                answers.append({"name": name, **vars(ended)})
        if not answers:
            return
        self._end_orphans()
        text = "".join(json.dumps(answer) + "\n" for answer in answers)
        sys.stdout.write(text)
        sys.stdout.flush()

    def _end_orphans(self) -> None:
        """Kill and wait for children of this process that belong to no task at work."""
        while True:
            known = {child.pid for child in self._active.values()}
            pids = set(map(int, self._read_children().split())) - known - self._stuck
            over = [pid for pid in pids if not self._may_be_at_work(pid)]
            if not over:
                return
            for pid in over:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                if not _waited_for(pid):
                    self._stuck.add(pid)

    def _read_children(self) -> bytes:
        data, some = b"", b"?"
        while some:
            some = os.pread(self._children, READ, len(data))
            data += some
        return data

    def _may_be_at_work(self, pid: int) -> bool:
        """Return whether an orphan may be of a task at work: by its environment.

        One that does not tell is left alone as long as there are such tasks.
        """
        mark = mark_of(pid)
        return mark in self._active if mark else bool(self._active)


def mark_of(pid: int) -> str:
    """Return the task that a process is of, by its environment; "" if that is silent.

    Local.
    """
    try:
        content = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return ""
    words = (word.partition(b"=") for word in content.split(b"\0"))
    return next((v.decode() for k, _, v in words if k == NAME.encode()), "")


def end_marked(names: Collection[str]) -> None:
    """Kill what is left of tasks whose helper is gone. Local."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and mark_of(int(folder.name)) in names:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(folder.name), signal.SIGKILL)


def _waited_for(pid: int) -> bool:
    """Wait a while for a killed child; return false if it does not end."""
    end = time.monotonic() + STUCK
    while time.monotonic() < end:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return True
        except ChildProcessError:
            return True
        time.sleep(0.0005)
    return False


def main() -> None:
    """Serve the rank that started this process. Local."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if cpus := sys.argv[1]:
        with suppress(OSError):  # those of other ranks, where a cgroup keeps them
            os.sched_setaffinity(0, map(int, cpus.split(",")))
    _Helper().serve()


if __name__ == "__main__":
    main()
