"""The ranks that a function gets: a communicator, or a `World`."""

from __future__ import annotations

from mpiapps.comm.world import World
from mpiapps.launch.mpi import MPI

Ranks = MPI.Intracomm | World


def communicator(ranks: Ranks) -> MPI.Intracomm:
    """Return the communicator of `ranks`. Local.

    Raises
    ------
    TypeError
        If it is neither a communicator nor a `World`.
    """
    comm = ranks.comm if isinstance(ranks, World) else ranks
    if isinstance(comm, MPI.Intracomm):
        return comm
    raise TypeError(
        f"expected a communicator or a World, got {type(ranks).__name__}: pass"
        " world.comm, or the World of open_world"
    )
