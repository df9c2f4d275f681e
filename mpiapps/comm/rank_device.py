"""The CUDA devices of all ranks, chosen together."""

from __future__ import annotations

from dataclasses import replace

from mpiapps.comm.world import World
from mpiapps.device.choice import Device, choose_device


def choose_rank_device(world: World) -> Device:
    """Return this rank's CUDA device, current for numba's kernels. Collective.

    Ranks count as sharing a device if it has the same identity, so a job that isolates
    the device of each rank is described correctly.

    Raises
    ------
    LaunchError
        Exit code 78, on all ranks: a rank sees no device, or cannot compile kernels.

    Notes
    -----
    Cost: an all-gather of an identity, some 40 bytes, on each host.
    """
    with world.agree():
        device = choose_device(world.local_rank, world.local_size)
        device.select()
    ranks = world.node.allgather(device.uuid).count(device.uuid)
    return replace(device, ranks=ranks)
