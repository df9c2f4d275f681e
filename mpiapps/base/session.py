"""The processes of a session: a process that began one, and all that came of it.

Some leave it, to begin one of their own; those have its mark in their environment.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

MARK = "MPIAPPS_SESSION"  # the variable that names a session to all that comes of it
SOONEST = 0.001  # s between two rounds of kills
PAGE = os.sysconf("SC_PAGE_SIZE")


def of_session(session: int) -> list[tuple[int, int]]:
    """Return pid and resident bytes of the living processes of a session. Local."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        fields = text.rpartition(")")[2].split()  # names may hold spaces
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append((int(folder.name), int(fields[21]) * PAGE))
    return found


def of_mark(mark: str) -> list[int]:
    """Return the pids of processes with this mark. Local.

    Of this user's alone; the kernel shows no others.
    """
    found, wanted = [], f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended meanwhile, or is somebody else's
            if folder.name.isdigit():
                variables = (folder / "environ").read_bytes().split(b"\0")
                found += [int(folder.name)] if wanted in variables else []
    return found


def resident(session: int) -> int:
    """Return the bytes resident in all processes of a session. Local."""
    return sum(held for _, held in of_session(session))


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
    members = {pid for pid, _ in of_session(session)}
    found = members.union(of_mark(mark) if mark else ()) - set(but)
    for pid in found:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
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
