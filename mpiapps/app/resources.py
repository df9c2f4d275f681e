"""What each rank used: its timers, CPU time and peak memory, for the record."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpiapps.comm.world import World

STATUS = Path("/proc/self/status")


def resources_of_ranks(world: World) -> list[dict[str, Any]] | None:
    """Return a row per rank on the root, `None` elsewhere. Collective.

    A row has ``rank``, ``host``, ``timers`` (s by name), ``cpu_seconds`` (user and
    system, with ended children) and ``peak_memory`` (bytes).
    """
    row = {
        "rank": world.rank,
        "host": world.host,
        "timers": dict(world.timers.seconds),
        "cpu_seconds": cpu_seconds(),
        "peak_memory": peak_memory(),
    }
    return world.comm.gather(row, root=world.root)


def cpu_seconds() -> float:
    """Return the CPU time of this process and its ended children, in s."""
    usages = (
        resource.getrusage(who)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes.

    ``ru_maxrss`` would include the process that was forked before it started Python.
    """
    try:
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
