"""Check that each Dask worker has the memory for a fit."""

from __future__ import annotations

from collections.abc import Iterable

from mpiapps.base.errors import LaunchError
from mpiapps.base.units import format_size
from mpiapps.dask_cluster.cluster_options import MIN_WORKER_BYTES


def check_worker_memory(nbytes: int, shared: int, limits: Iterable[int]) -> None:
    """Raise if a fit would exceed a worker's memory limit.

    Parameters
    ----------
    nbytes : int
        Size of the samples.
    shared : int
        Bytes of the host's memory that each worker maps: the samples, unless this
        system has no such memory and each worker gets a copy.
    limits : iterable of int
        Memory limit of each worker in bytes, with `shared`; 0 for none.

    Raises
    ------
    LaunchError
        If a limit is less than the samples of a worker, those of a fit, and what Dask
        itself needs.
    """
    own = MIN_WORKER_BYTES + nbytes + (0 if shared else nbytes)
    if (lowest := min(filter(None, limits), default=own + shared) - shared) < own:
        raise LaunchError(
            f"each Dask worker needs {format_size(own)} for the samples"
            f" ({format_size(nbytes)}) of a fit, but one has"
            f" {format_size(lowest)}: start fewer ranks on a host, request more memory,"
            " or choose --backend mpi"
        )
