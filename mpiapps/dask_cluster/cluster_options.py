"""The options of a cluster, and each rank's share of its host."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.base.errors import LaunchError, UsageError
from mpiapps.base.launch_environment import ranks_on_host
from mpiapps.base.memory import memory_of_rank
from mpiapps.base.units import format_size
from mpiapps.dask_cluster.settings import preload_source

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

ROOT = 0
MIN_WORKER_BYTES = 128 * 2**20  # Dask pauses a worker at 80 % of its limit
MEMORY_FRACTION = 0.95  # of a rank's share; Dask does not count the rest


@dataclass(frozen=True)
class ClusterOptions:
    """The options of a cluster.

    Attributes
    ----------
    threads : int
        Threads per worker; 0: one per processor of its rank.
    memory : int
        Bytes per worker; 0: its share of the host's memory, or of the job's limit.
    shared : int
        Bytes of the host's memory that each worker maps, beside its own: Dask counts
        them for each of the workers.
    interface : str
        The network between hosts, such as ``ib0``; empty: one that all can reach.
    local_directory : str
        The directory that workers spill to; empty: the job's scratch, or ``/tmp``.
    dashboard : bool
        Whether the scheduler serves its dashboard, on the loopback address.
    insecure : bool
        Whether to disable TLS: every process that reaches the ports can run code as
        this user.
    remote_clients : bool
        Whether clients on other hosts may connect, so loopback is not enough.
    path : tuple of str
        Directories of modules that tasks import; empty: the program's directory.
    settings : dict
        Dask's, for client, scheduler and workers, such as
        ``"distributed.worker.memory.terminate"``.
    resources : dict
        Amounts of each worker's abstract resources, such as ``{"GPU": 1}``.
    preload : tuple of str
        Modules or files that each worker imports, calling their ``dask_setup(worker)``.
    restarts : int
        Maximum restarts of a worker; after that it is not started again.
    idle_timeout : bool
        Whether Dask's ``idle-timeout`` applies; if not, only the block's end counts.
    deadline : bool
        Whether `StopRequested` is raised in the block at SIGUSR1 or the deadline.
    """

    threads: int = 0
    memory: int = 0
    shared: int = 0
    interface: str = ""
    local_directory: str = ""
    dashboard: bool = False
    insecure: bool = False
    remote_clients: bool = False
    path: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, float] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    restarts: int = 20
    idle_timeout: bool = False
    deadline: bool = True

    def module_path(self) -> list[str]:
        """Return the directories that workers add to ``sys.path``. Local.

        By default the root's first entry: the directory of the program that Python was
        started with, or the working directory.
        """
        return list(self.path or (str(Path(sys.path[0]).resolve()),))

    def of_hosts(self) -> dict[str, Any]:
        """Return the options of Dask's processes on every host. Local, on the root."""
        return {
            "local_directory": self.local_directory,
            "path": self.module_path(),
            "settings": self.settings,
            "resources": self.resources,
            "preload": [preload_source(name) for name in self.preload],
            "idle_timeout": self.idle_timeout,
        }


def check_memory(workers: list[dict[str, Any]], options: ClusterOptions) -> None:
    """Raise if Dask would pause or kill a worker before its first task. Local.

    Raises
    ------
    UsageError, LaunchError
        If a worker has less than `MIN_WORKER_BYTES`, by --memory or by its share.
    """
    for worker in workers:
        if worker["memory"] >= MIN_WORKER_BYTES:
            continue
        reason = (
            f"the worker of rank {worker['name']} would have"
            f" {format_size(worker['memory'])} of memory, of which Dask itself takes 60"
            f" MiB; give it {format_size(MIN_WORKER_BYTES)} or more"
        )
        if options.memory:
            raise UsageError(f"{reason}, by --memory 4GiB for example")
        raise LaunchError(
            f"{reason}: start fewer ranks on a host, or request more memory"
        )


def worker_specs(
    node: Intracomm, comm: Intracomm, options: ClusterOptions
) -> list[dict[str, Any]]:
    """Return the parameters of this host's workers. Collective over `node`.

    Parameters
    ----------
    node : Intracomm
        The ranks of `comm` on this host. Other ranks there keep their share.
    comm : Intracomm
        All ranks: the root has a worker only if it is the only rank.
    options : ClusterOptions

    Returns
    -------
    list of dict
        ``name``, the rank; ``cpus``, its affinity mask; ``threads``, the number of
        processors over the number of ranks with the same mask; ``memory`` in bytes.
    """
    cpus = sorted(os.sched_getaffinity(0))
    ranks = max(node.size, ranks_on_host(os.environ))
    memory = options.memory or int(MEMORY_FRACTION * memory_of_rank(ranks))
    masks = node.allgather(cpus)
    sharing = masks.count(cpus) * ranks / node.size
    own = {
        "name": comm.rank,
        "cpus": cpus,
        "threads": options.threads or max(1, int(len(cpus) / sharing)),
        "memory": memory + options.shared,
    }
    alone = comm.size == 1
    specs: list[dict[str, Any]] = node.allgather(own)
    return [spec for spec in specs if spec["name"] != ROOT or alone]
