"""The processes of a session: a process that began one, and all that came of it.

Some leave it, to begin one of their own; those have its mark in their environment, or
are found as the children of children.
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

MARK = "MPIAPPS_SESSION"  # the variable that names a session to all that comes of it
SOONEST = 0.001  # s between two rounds of kills
PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """One process, as the kernel has it.

    Attributes
    ----------
    pid, parent, session : int
    state : str
        A letter of ``man 5 proc``: Z and X have ended, T is stopped.
    resident : int
        Bytes.
    """

    pid: int
    parent: int
    session: int
    state: str
    resident: int


def process(pid: int) -> Process | None:
    """Return a process, or `None` if it has ended and was waited for. Local."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # names may hold spaces
    return Process(
        pid, int(fields[1]), int(fields[3]), fields[0], int(fields[21]) * PAGE
    )


def processes() -> Iterator[Process]:
    """Yield all living processes of this machine. Local."""
    with os.scandir("/proc") as entries:
        names = [entry.name for entry in entries]
    for name in names:
        found = process(int(name)) if name.isdigit() else None
        if found is not None and found.state not in "ZX":
            yield found


class Tree:
    """All living processes at one moment, and whose child each of them is. Local."""

    def __init__(self) -> None:
        self._children = defaultdict[int, list[int]](list)
        self._resident: dict[int, int] = {}
        for each in processes():
            self._children[each.parent].append(each.pid)
            self._resident[each.pid] = each.resident

    def below(self, roots: Iterable[int]) -> list[int]:
        """Return these processes and all that came of them, as far as they live."""
        found, more = [], list(roots)
        while more:
            pid = more.pop()
            found += [pid] if pid in self._resident else []
            more += self._children.get(pid, ())
        return found

    def resident(self, roots: Iterable[int]) -> int:
        """Return the bytes resident in these processes and all that came of them."""
        return sum(self._resident[pid] for pid in self.below(roots))


def of_session(session: int) -> list[int]:
    """Return the pids of the living processes of a session. Local."""
    return [each.pid for each in processes() if each.session == session]


def of_mark(mark: str, variable: str = MARK) -> list[int]:
    """Return the pids of processes with this mark. Local.

    Of this user's alone; the kernel shows no others.
    """
    found, wanted = [], f"{variable}={mark}".encode()
    for folder in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended meanwhile, or is somebody else's
            if folder.name.isdigit():
                variables = (folder / "environ").read_bytes().split(b"\0")
                found += [int(folder.name)] if wanted in variables else []
    return found


def send_signal(pids: Iterable[int], number: int) -> None:
    """Signal processes, those apart that have ended or are somebody else's. Local."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def signal_session(
    session: int, number: int, but: Collection[int] = (), mark: str = ""
) -> int:
    """Signal the processes of a session; return how many there were. Local.

    Parameters
    ----------
    session : int
        The pid of the process that began it.
    number : int
        The signal.
    but : collection of int
        Pids that are left alone.
    mark : str
        Those that have it are meant as well.
    """
    members = set(of_session(session))
    found = members.union(of_mark(mark) if mark else ()) - set(but)
    send_signal(found, number)
    return len(found)


def end_session(
    session: int, seconds: float, but: Collection[int] = (), mark: str = ""
) -> None:
    """Kill the processes that `signal_session` means until none lives, for so long."""
    until = time.monotonic() + seconds
    while signal_session(session, signal.SIGKILL, but, mark):
        if time.monotonic() > until:
            break
        time.sleep(SOONEST)
