"""Check that each Dask worker has the memory for its copy of the samples."""

from __future__ import annotations

from collections.abc import Iterable

from mpiapps.base.errors import LaunchError
from mpiapps.base.units import format_size
from mpiapps.dask_cluster.cluster_options import MIN_WORKER_BYTES

COPIES = 2  # of the samples in a worker: its own, and that of a fit


def check_worker_memory(nbytes: int, limits: Iterable[int]) -> None:
    """Raise if a worker would exceed its memory limit when it receives the samples.

    Parameters
    ----------
    nbytes : int
        Size of the samples.
    limits : iterable of int
        Memory limit of each worker in bytes; 0 for none.

    Raises
    ------
    LaunchError
        If a limit is less than twice the samples and what Dask itself needs.
    """
    needed = MIN_WORKER_BYTES + COPIES * nbytes
    if (lowest := min(filter(None, limits), default=needed)) < needed:
        raise LaunchError(
            f"each Dask worker needs {format_size(needed)} for its copy of the samples"
            f" ({format_size(nbytes)}) and a fit, but one has"
            f" {format_size(lowest)}: start fewer ranks on a host, request more memory,"
            " or choose --backend mpi, with one copy for all ranks of a host"
        )
