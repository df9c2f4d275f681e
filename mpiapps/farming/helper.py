"""The process that does commands for a rank: see `mpiapps.farming.nursery`.

Orphans of a command become its own children, so that it finds whatever is left: those
in the session of the command are its work and are waited for; those that began a
session of their own are daemons, and end with it.

usage: python -m mpiapps.farming.helper [CPUS], by `Nursery`
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

from mpiapps.base.session import Tree, process, send_signal
from mpiapps.farming.child import Child, Limits

SET_CHILD_SUBREAPER = 36  # man 2 prctl
NAME = "MPIAPPS_TASK"  # of the variable that tells whose a process is
READ = 2**16  # bytes of answers or orders at once
SOON, OFTEN, SELDOM = 0.01, 0.2, 10.0  # s between looks: of the end, of limits, else
AT_THE_END = 5.0  # s that killed processes are waited for when the rank is gone


class Helper:
    """What does the commands, in a loop of one thread."""

    def __init__(self) -> None:
        self._active: dict[str, Child] = {}
        self._sessions: dict[int, str] = {}  # pid of its shell -> task
        self._over: set[str] = set()  # those whose shell has ended
        self._given_up: set[int] = set()  # processes that no kill ends
        self._text = self._said = b""
        os.set_blocking(1, False)  # else both sides may wait for the other to read
        self._environ: dict[str, str] = {}
        listed = f"/proc/self/task/{os.getpid()}/children"
        self._children = os.open(listed, os.O_RDONLY | os.O_CLOEXEC)
        self._looked = time.monotonic()
        # Ends of children are bytes in a pipe: no limit of numbers, as `select` has.
        self._wake, end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(end, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Do what comes on standard input, until it ends."""
        try:
            while self._step():
                pass
        finally:  # also if nobody reads the answers any more
            self._end_all()

    def _step(self) -> bool:
        """Wait for something and see to it; return false if the rank is gone."""
        limited = self._over or any(child.limited for child in self._active.values())
        patience = SOON if self._said else OFTEN if limited else SELDOM
        ready = readable([0, self._wake], patience)
        if self._wake in ready:
            with suppress(BlockingIOError):
                os.read(self._wake, READ)
        if 0 in ready and not self._take():
            return False
        self._reap()
        if time.monotonic() - self._looked >= patience:
            self._looked = time.monotonic()
            self._watch()
        if self._over or not self._active:
            self._finish()
        return self._send()

    def _take(self) -> bool:
        """Begin what was ordered; return false at the end of the input."""
        data = os.read(0, READ)
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if not self._environ:
                self._environ = order
            elif order:
                self._begin(**order)
            else:
                for child in self._active.values():
                    child.stop()
                self._looked = 0.0
        return bool(data)

    def _begin(
        self, name: str, environ: Mapping[str, str], seconds: float, memory: int,
        **order: Any,
    ) -> None:  # fmt: skip
        environ = {**self._environ, **environ}
        child = Child(environ=environ, limits=Limits(seconds, memory), **order)
        self._active[name] = child
        if child.pid:
            self._sessions[child.pid] = name
        if not child.at_work:
            self._over.add(name)

    def _reap(self) -> None:
        """Wait for all processes that have ended, whose ever they are."""
        with suppress(ChildProcessError):
            while (ended := os.wait4(-1, os.WNOHANG))[0]:
                pid = ended[0]
                self._given_up.discard(pid)
                name = self._sessions.get(pid)
                if name is not None:
                    self._active[name].take(*ended)
                    self._over.add(name)

    def _watch(self) -> None:
        """Signal the processes of tasks that are over a limit, or are to end."""
        orphans, tree = self._orphans(), cache(Tree)
        for name, child in self._active.items():
            if child.limited and name not in self._over:
                roots = [child.pid, *orphans.get(name, ())]
                held = tree().resident(roots) if child.limits_memory else 0
                self._signal(name, roots, tree, held)

    def _finish(self) -> None:
        """Answer for tasks of which nothing is left."""
        orphans, tree = self._orphans(), cache(Tree)
        if self._over and len(self._over) == len(self._active):
            orphans.setdefault(min(self._over), []).extend(orphans.pop("", ()))
        for name in list(self._over):
            child, left = self._active[name], orphans.get(name, [])
            if left and not child.stuck:
                if not any(map(self._is_work, left)):
                    child.finish()
                self._signal(name, left, tree)
                continue
            del self._active[name]
            self._over.remove(name)
            self._sessions.pop(child.pid, None)
            answer = {"name": name, **vars(child.ended())}
            self._said += json.dumps(answer).encode() + b"\n"
        if not self._active:
            send_signal(tree().below(orphans.pop("", ())), signal.SIGKILL)

    def _send(self) -> bool:
        """Send the answers, as many as there is room for; false if nobody reads."""
        try:
            self._said = self._said[os.write(1, self._said) :] if self._said else b""
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def _signal(
        self, name: str, roots: list[int], tree: Callable[[], Tree], held: int = 0
    ) -> None:
        """Send to the processes of a task, and those below them, what is due."""
        child = self._active[name]
        if number := child.due(held):
            send_signal(tree().below(roots), number)
        if child.stuck:
            self._given_up.update(roots)
            self._over.add(name)

    def _orphans(self) -> dict[str, list[int]]:
        """Return the children that no longer have their parent, by their task.

        Those that do not tell whose they are have no name: they are left alone as long
        as there are tasks at work.
        """
        found: dict[str, list[int]] = {}
        for pid in set(map(int, self._read_children().split())) - self._given_up:
            if pid not in self._sessions:
                found.setdefault(self._whose(pid), []).append(pid)
        return found

    def _whose(self, pid: int) -> str:
        """Return the task at work that a process is of: by its session or its mark."""
        found = process(pid)
        name = self._sessions.get(found.session) if found is not None else None
        name = name or mark_of(pid).partition("/")[2]
        return name if name in self._active else ""

    def _is_work(self, pid: int) -> bool:
        """Return whether an orphan is of the session of its task, so no daemon."""
        found = process(pid)
        return found is not None and found.session in self._sessions

    def _read_children(self) -> bytes:
        data, some = b"", b"?"
        while some:
            some = os.pread(self._children, READ, len(data))
            data += some
        return data

    def _end_all(self) -> None:
        """Kill all that came of this process, until nothing is left or it is late."""
        end = time.monotonic() + AT_THE_END
        while time.monotonic() < end:
            self._reap()
            pids = set(map(int, self._read_children().split())) - self._given_up
            if not pids:
                return
            send_signal(Tree().below(pids), signal.SIGKILL)
            readable([self._wake], SOON)
            with suppress(BlockingIOError):
                os.read(self._wake, READ)


def readable(numbers: Iterable[int], seconds: float) -> list[int]:
    """Wait until one of these can be read, for so long; return which can. Local."""
    poll = select.poll()
    for number in numbers:
        poll.register(number, select.POLLIN)
    return [number for number, _ in poll.poll(seconds * 1000)]


def mark_of(pid: int) -> str:
    """Return the mark of a process, by its environment; "" if that is silent. Local."""
    try:
        content = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return ""
    words = (word.partition(b"=") for word in content.split(b"\0"))
    return next((v.decode() for k, _, v in words if k == NAME.encode()), "")


def main() -> None:
    """Serve the rank that started this process. Local."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if cpus := sys.argv[1]:
        with suppress(OSError):  # those of other ranks, where a cgroup keeps them
            os.sched_setaffinity(0, map(int, cpus.split(",")))
    Helper().serve()


if __name__ == "__main__":
    main()
