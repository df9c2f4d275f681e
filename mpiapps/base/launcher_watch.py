"""The end of the launcher is the end of its ranks, however it ended.

A launcher that is killed by signal 9 tells its ranks nothing. Open MPI's notice it at
their next message, those of MPICH and Intel MPI only if the local daemon is alive; a
rank that sleeps or computes runs on, and writes beside the run that follows it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

# Processes that stay as long as the ranks that they, or their children, have started.
LAUNCHERS = (
    "mpiexec", "mpirun", "mpiexec.hydra", "mpiexec.gforker", "hydra_bstrap_proxy",
    "hydra_pmi_proxy", "prterun", "prte", "prted", "orterun", "orted", "slurmstepd",
)  # fmt: skip
NAME = 15  # characters of a process's name that the kernel keeps
EVERY = 1.0  # s between looks
GRACE = 3  # s that a rank has to clean up after its launcher's end
CODE = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Ancestor:
    """A process above this one: pid and start together name it for good.

    One that goes on in the background has another parent some time later.
    """

    pid: int
    start: int
    parent: int = field(compare=False)
    name: str = field(compare=False)

    @property
    def is_launcher(self) -> bool:
        """Whether it starts ranks, or is the daemon that does so on this host."""
        return self.pid > 1 and self.name in {each[:NAME] for each in LAUNCHERS}


def look(pid: int) -> Ancestor | None:
    """Return a process, or `None` if it has ended or cannot be seen. Local."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    before, _, after = text.rpartition(")")  # names may hold spaces and brackets
    fields = after.split()
    if fields[0] in "ZX":
        return None
    return Ancestor(pid, int(fields[19]), int(fields[1]), before.partition("(")[2])


def launchers_above(pid: int) -> list[Ancestor]:
    """Return the launcher of process `pid` on this host, and its daemons. Local.

    Wrappers between them and the rank, such as a shell, are left out; so is all above,
    such as the terminal, or the rank of another run that started this launcher.
    """
    found: list[Ancestor] = []
    above = look(pid)
    while above is not None and (above.is_launcher or not found):
        if above.is_launcher:
            found.append(above)
        above = look(above.parent) if above.parent > 0 else None
    return found


@cache
def end_with_launcher() -> None:
    """Let this rank end when its launcher, or the daemon on its host, has. Local.

    It gets SIGTERM, so that it cleans up and reports as for any other signal, and is
    ended `GRACE` seconds later. A process without a launcher above is left alone.
    """
    watched = launchers_above(os.getppid())
    if watched:
        thread = threading.Thread(
            target=_watch, args=[watched], daemon=True, name="launcher"
        )
        thread.start()


def _watch(watched: list[Ancestor]) -> None:
    """Look once a second, which costs some 50 us."""
    while not (ended := [each for each in watched if look(each.pid) != each]):
        time.sleep(EVERY)
    [first, *_] = ended
    # The system's own, for MPI_Finalize may wait for ever and let no thread run.
    signal.setitimer(signal.ITIMER_REAL, GRACE + 1)
    with suppress(OSError, ValueError):  # mpiexec was to read it
        sys.stderr.write(
            f"mpiapps: error on {socket.gethostname()}: the launcher {first.name},"
            f" process {first.pid}, has ended, and ends this rank, process"
            f" {os.getpid()}\n"
        )
        sys.stderr.flush()
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(CODE)
