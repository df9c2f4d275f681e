"""What a process has used of its host: CPU time, memory, switches, bytes."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import TypedDict


class Usage(TypedDict):
    """Usage of one process since its start.

    Attributes
    ----------
    wall_seconds : float
    cpu_seconds : float
        User and system time, with that of child processes that were waited for.
    peak_memory : int
        Resident bytes at their highest, of this process or of its largest child.
    voluntary_switches, involuntary_switches : int
        Context switches of this process.
    bytes_read, bytes_written : int
        By system calls, from caches, files and pipes alike.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_memory: int
    voluntary_switches: int
    involuntary_switches: int
    bytes_read: int
    bytes_written: int


def usage_of_process(directory: Path = Path("/proc/self")) -> Usage:
    """Return the usage of this process; `directory` is its directory in /proc."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Not ru_maxrss: across an exec it keeps the size of the process that forked.
    peak = _numbers(directory / "status").get("VmHWM", own.ru_maxrss)
    io = _numbers(directory / "io")
    return {
        "wall_seconds": _age(directory),
        "cpu_seconds": sum(each.ru_utime + each.ru_stime for each in (own, children)),
        "peak_memory": 1024 * max(peak, children.ru_maxrss),
        "voluntary_switches": own.ru_nvcsw,
        "involuntary_switches": own.ru_nivcsw,
        "bytes_read": io.get("rchar", 0),
        "bytes_written": io.get("wchar", 0),
    }


def _numbers(path: Path) -> dict[str, int]:
    """Return the numbers of a file with lines ``name: number``; none if it is missing.

    A kernel without task accounting has no ``io``.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":")[::2] for line in lines)
    words = {name: value.split() for name, value in pairs}
    return {name: int(w[0]) for name, w in words.items() if w and w[0].isdecimal()}


def _age(directory: Path) -> float:
    """Return the seconds since the start of a process."""
    fields = (directory / "stat").read_text().rpartition(")")[2].split()
    start = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # man 5 proc: starttime
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start
