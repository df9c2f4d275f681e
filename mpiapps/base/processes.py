"""Processes in /proc: process trees, sessions, and processes with a tag.

Descendants that leave a session are found by a tag in their environment, or as
children of children.
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

SESSION_TAG = "MPIAPPS_SESSION"  # variable that tags all descendants of a session
KILL_INTERVAL = 0.001  # s between two rounds of kills
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """A process, as described by ``/proc/PID/stat``.

    Attributes
    ----------
    pid, parent, session : int
    state : str
        A letter of ``man 5 proc``: Z and X have ended, T is stopped.
    resident : int
        Resident bytes.
    start : int
        Clock ticks since boot; identifies a process together with the pid.
    name : str
        The first 15 characters of the command's name.
    """

    pid: int
    parent: int
    session: int
    state: str
    resident: int
    start: int
    name: str

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended; a zombie still has a pid."""
        return self.state not in "ZX"


def process(pid: int) -> Process | None:
    """Return a process, or `None` if it has ended and was waited for."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    before, _, after = text.rpartition(")")  # names may contain spaces and brackets
    state, parent, _, session, *rest = after.split()
    return Process(
        pid=pid,
        parent=int(parent),
        session=int(session),
        state=state,
        resident=int(rest[17]) * PAGE_BYTES,
        start=int(rest[15]),
        name=before.partition("(")[2],
    )


def start_of(pid: int) -> int | None:
    """Return the start time of a running process, or `None` if it has ended."""
    status = process(pid)
    return status.start if status is not None and status.is_alive else None


def processes() -> Iterator[Process]:
    """Yield all running processes of this host."""
    with os.scandir("/proc") as entries:
        names = [entry.name for entry in entries]
    for name in names:
        status = process(int(name)) if name.isdigit() else None
        if status is not None and status.is_alive:
            yield status


class ProcessTree:
    """A snapshot of all running processes and their parents."""

    def __init__(self) -> None:
        self._children = defaultdict[int, list[int]](list)
        self._resident: dict[int, int] = {}
        for each in processes():
            self._children[each.parent].append(each.pid)
            self._resident[each.pid] = each.resident

    def below(self, roots: Iterable[int]) -> list[int]:
        """Return the running processes among `roots` and their descendants."""
        running, pending = [], list(roots)
        while pending:
            pid = pending.pop()
            running += [pid] if pid in self._resident else []
            pending += self._children.get(pid, ())
        return running

    def resident(self, roots: Iterable[int]) -> int:
        """Return the resident bytes of `roots` and their descendants."""
        return sum(self._resident[pid] for pid in self.below(roots))


def session_pids(session: int) -> list[int]:
    """Return the pids of the running processes of a session."""
    return [each.pid for each in processes() if each.session == session]


def tagged_pids(tag: str, variable: str = SESSION_TAG) -> list[int]:
    """Return the pids of this user's processes with `tag` in `variable`."""
    pids, entry = [], f"{variable}={tag}".encode()
    for directory in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended, or belongs to another user
            if directory.name.isdigit():
                variables = (directory / "environ").read_bytes().split(b"\0")
                pids += [int(directory.name)] if entry in variables else []
    return pids


def send_signal(pids: Iterable[int], number: int) -> None:
    """Signal processes; skip those that have ended or belong to another user."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def signal_session(
    session: int, number: int, exclude: Collection[int] = (), tag: str = ""
) -> int:
    """Signal the processes of a session; return their number.

    Parameters
    ----------
    session : int
        The session ID.
    number : int
        The signal.
    exclude : collection of int
        Pids that get no signal.
    tag : str
        Include processes with this tag.
    """
    members = set(session_pids(session))
    pids = members.union(tagged_pids(tag) if tag else ()) - set(exclude)
    send_signal(pids, number)
    return len(pids)


def end_session(
    session: int, timeout: float, exclude: Collection[int] = (), tag: str = ""
) -> None:
    """Kill the processes of `signal_session` until none is left, or for `timeout` s."""
    end = time.monotonic() + timeout
    while signal_session(session, signal.SIGKILL, exclude, tag):
        if time.monotonic() > end:
            break
        time.sleep(KILL_INTERVAL)
