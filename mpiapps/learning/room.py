"""Whether workers of Dask have room for the samples, of which each has a copy."""

from __future__ import annotations

from collections.abc import Iterable

from mpiapps.base.errors import LaunchError
from mpiapps.base.units import format_size
from mpiapps.dasking.setup import LEAST

COPIES = 2  # of the samples that a worker has at least: its own, those of a fit


def see_memory(nbytes: int, limits: Iterable[int]) -> None:
    """Refuse a case of which a worker would end when it gets its copy. Local.

    Parameters
    ----------
    nbytes : int
        Of the samples.
    limits : iterable of int
        What each worker may have in bytes; 0 for as much as there is.

    Raises
    ------
    LaunchError
        If a worker's limit is less than twice the case, and what Dask itself takes.
    """
    needed = LEAST + COPIES * nbytes
    if (least := min(filter(None, limits), default=needed)) < needed:
        raise LaunchError(
            f"each worker of Dask has a copy of the samples, {format_size(nbytes)}, and"
            f" needs {format_size(needed)} to receive and fit it, but one has"
            f" {format_size(least)}: start fewer ranks on a host, ask for more memory,"
            " or choose --backend mpi, with one copy for all ranks of a host"
        )
