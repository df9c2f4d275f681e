"""What a cluster is to be like, and what each rank's share of its host is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mpiapps.base.memory import memory_of_rank

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

ROOT = 0
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
        Folders of modules that tasks import.
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
    deadline: bool = True


def workers_of(node: Intracomm, comm: Intracomm, setup: Setup) -> list[dict[str, Any]]:
    """Return the workers of this host's ranks. Collective over `node`.

    Parameters
    ----------
    node : Intracomm
        The ranks of this host.
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
    memory = setup.memory or int(MEMORY * memory_of_rank(node.size))
    masks = node.allgather(cpus)
    mine = {
        "name": comm.rank,
        "cpus": cpus,
        "threads": setup.threads or max(1, len(cpus) // masks.count(cpus)),
        "memory": memory,
    }
    alone = comm.size == 1
    every: list[dict[str, Any]] = node.allgather(mine)
    return [each for each in every if each["name"] != ROOT or alone]
