"""What a cluster is to be like, and what each rank's share of its host is."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.base.errors import LaunchError, UsageError
from mpiapps.base.launcher import ranks_here
from mpiapps.base.memory import memory_of_rank
from mpiapps.base.units import format_size

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

ROOT = 0
LEAST = 128 * 2**20  # bytes of a worker: Dask pauses one at 80 % of what it has
MEMORY = 0.95  # of a rank's share; the rest is for what Dask does not count


@dataclass(frozen=True)
class Setup:
    """What the cluster is to be like.

    Attributes
    ----------
    threads : int
        Of each worker; 0: as many as the rank has processors.
    memory : int
        Bytes of each worker; 0: its share of the host's, or of the job's limit.
    interface : str
        The network between hosts, such as ``ib0``; empty: what all can reach.
    folder : str
        Where workers spill to; empty: the job's scratch, or ``/tmp``.
    dashboard : bool
        Whether the scheduler has its page, for this host alone.
    insecure : bool
        Whether to do without TLS: whoever reaches the ports can run code as this user.
    outside : bool
        Whether programs on other hosts may join in, so loopback is not enough.
    path : tuple of str
        Folders of modules that tasks import; empty: that of the program.
    settings : dict
        Of Dask, for scheduler and workers, such as ``"distributed.admin.tick.limit"``.
    restarts : int
        How often a worker may be started again; then it stays away.
    idle : bool
        Whether Dask's setting of an idle timeout ends the cluster; else its block does.
    deadline : bool
        Whether `StopAsked` is raised in the block when the run is to stop.
    """

    threads: int = 0
    memory: int = 0
    interface: str = ""
    folder: str = ""
    dashboard: bool = False
    insecure: bool = False
    outside: bool = False
    path: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    restarts: int = 20
    idle: bool = False
    deadline: bool = True

    def folders(self) -> list[str]:
        """Return where the root looks for modules, for workers to look as well. Local.

        Python's own first entry is the folder of the program that it was started with,
        or the working directory.
        """
        return list(self.path or (str(Path(sys.path[0]).resolve()),))


def see_room(workers: list[dict[str, Any]], setup: Setup) -> None:
    """Refuse workers that would be paused or ended before they have a task. Local.

    Raises
    ------
    UsageError, LaunchError
        If one has less than `LEAST`: as asked for, or as its share.
    """
    for each in workers:
        if each["memory"] >= LEAST:
            continue
        why = (
            f"the worker of rank {each['name']} would have"
            f" {format_size(each['memory'])} of memory, of which Dask itself takes 60"
            f" MiB; give it {format_size(LEAST)} or more"
        )
        if setup.memory:
            raise UsageError(f"{why}, by --memory 4GiB for example")
        raise LaunchError(f"{why}: start fewer ranks on a host, or ask for more memory")


def workers_of(node: Intracomm, comm: Intracomm, setup: Setup) -> list[dict[str, Any]]:
    """Return the workers of this host's ranks. Collective over `node`.

    Parameters
    ----------
    node : Intracomm
        The ranks of `comm` on this host. Others there have their share as well.
    comm : Intracomm
        All ranks: the root has no worker, unless it is alone.
    setup : Setup

    Returns
    -------
    list of dict
        ``name``, the rank; ``cpus``, those of its affinity mask; ``threads``, as many
        as these, shared between the ranks that have the same ones; ``memory`` in bytes.
    """
    cpus = sorted(os.sched_getaffinity(0))
    here = max(node.size, ranks_here(os.environ))
    memory = setup.memory or int(MEMORY * memory_of_rank(here))
    masks = node.allgather(cpus)
    sharing = masks.count(cpus) * here / node.size
    mine = {
        "name": comm.rank,
        "cpus": cpus,
        "threads": setup.threads or max(1, int(len(cpus) / sharing)),
        "memory": memory,
    }
    alone = comm.size == 1
    every: list[dict[str, Any]] = node.allgather(mine)
    return [each for each in every if each["name"] != ROOT or alone]
