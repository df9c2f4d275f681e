"""What each rank has used, for the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mpiapps.base.usage import usage_of_process

if TYPE_CHECKING:
    from mpiapps.comm.world import World


def collect(world: World) -> dict[str, Any] | None:
    """Return the usage of all ranks on the root, `None` elsewhere.

    Collective: one gather of a small dict.

    Returns
    -------
    dict
        ``cpu_seconds``: of all ranks. ``peak_memory``: bytes of the largest rank.
        ``ranks``: for each rank ``rank``, ``host``, ``threads`` of its libraries in
        force, ``timers`` in s by name, and `mpiapps.base.usage.Usage`. The job script
        reads the first two keys.
    """
    row = {"rank": world.rank, "host": world.host, "threads": _threads()}
    row |= {"timers": dict(world.timers.seconds)} | usage_of_process()
    rows = world.comm.gather(row, root=world.root)
    if rows is None:
        return None
    return {
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in rows), 3),
        "peak_memory": max(row["peak_memory"] for row in rows),
        "ranks": rows,
    }


def _threads() -> int:
    """Return the number of threads of the library that has the most."""
    from threadpoolctl import threadpool_info

    return max((pool["num_threads"] for pool in threadpool_info()), default=1)
