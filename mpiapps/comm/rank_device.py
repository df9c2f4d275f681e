"""The CUDA devices of all ranks, chosen together."""

from __future__ import annotations

from dataclasses import replace

from mpiapps.comm.world import World
from mpiapps.device.choice import Device, choose_device
from mpiapps.launch.mpi import MPI


def choose_rank_device(world: World, *, kernels: bool = True) -> Device:
    """Return this rank's CUDA device. Collective.

    Ranks count as sharing a device if it has the same identity, so a job that isolates
    the device of each rank is described correctly.

    Parameters
    ----------
    world : World
    kernels : bool
        Whether numba's kernels are to run on the device: it is made current for them,
        and one is started. Other libraries have compilers of their own.

    Raises
    ------
    LaunchError
        Exit code 78, on all ranks: a rank sees no device, or cannot start kernels.

    Notes
    -----
    Cost: an all-gather of an identity, some 40 bytes, on each host; an all-reduce of
    an integer.
    """
    with world.agree():
        device = choose_device(world.local_rank, world.local_size)
        if kernels:
            device.select()
    ranks = world.node.allgather(device.uuid).count(device.uuid)
    most = world.comm.allreduce(ranks, op=MPI.MAX)
    return replace(device, ranks=ranks, most_ranks=most)
