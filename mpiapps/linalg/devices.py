"""The device of each rank, for matrices on devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mpiapps.base.errors import LaunchError
from mpiapps.comm.device_messages import chosen_way, wanted_way
from mpiapps.comm.rank_device import choose_rank_device
from mpiapps.device import arrays
from mpiapps.launch.mpi import MPI

if TYPE_CHECKING:
    from mpiapps.comm.world import World
    from mpiapps.device.choice import Device
    from mpiapps.linalg.distmatrix import DistMatrix


def use_device(world: World) -> Device:
    """Return this rank's device, current for CuPy. Collective.

    Raises
    ------
    LaunchError
        Exit code 78, on all ranks: CuPy or numba's CUDA target is not installed, or a
        rank sees no device.
    UsageError
        On all ranks, if ``MPIAPPS_DEVICE_MESSAGES`` asks for what is not there.

    Notes
    -----
    Cost: an all-gather and a reduction; without NCCL, also the time of a child process
    on each host that tries messages of device buffers, some seconds.
    """
    with world.agree():
        try:
            module = arrays.cuda_module()
        except LaunchError as error:
            raise LaunchError(f"{error}, or use --device cpu") from error
        wanted_way()  # a wrong one fails before the work
    device = choose_rank_device(world, kernels=False)
    for_nccl = device.ranks == 1 and arrays.nccl_module().available
    if not world.comm.allreduce(for_nccl, op=MPI.LAND):
        chosen_way(world.comm)  # tried before this process uses the device
    with world.agree():
        module.cuda.Device(device.index).use()
    return device


def upload(world: World, matrices: Sequence[DistMatrix]) -> list[DistMatrix]:
    """Return the matrices on devices. Collective: times it as `upload`."""
    with world.timed("upload"):
        moved = [matrix.to_device() for matrix in matrices]
        for matrix in moved:
            arrays.synchronize(matrix.local)
    return moved


def wait(matrix: DistMatrix | None) -> None:
    """Wait until the device has computed a matrix. Local."""
    if matrix is not None:
        arrays.synchronize(matrix.local)


def download(
    world: World, matrix: DistMatrix | None, values: dict[str, Any]
) -> tuple[DistMatrix | None, dict[str, Any]]:
    """Return a result in host memory. Collective: times it as `download`.

    The way of messages between devices is added to the values.
    """
    with world.timed("download"):
        host = None if matrix is None else matrix.to_host()
    return host, {**values, "messages": chosen_way(world.comm)}


def columns(device: Device | None) -> dict[str, str]:
    """Return what the record of a rank has about its device. Local."""
    return {} if device is None else {"device": f"{device.index}: {device.name}"}
