"""Messages of arrays on devices by NCCL, through CuPy.

Each rank has a device of its own. NCCL orders messages with the kernels of the current
stream, so that no wait is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mpiapps.comm.chunking import Array, as_bytes
from mpiapps.device import arrays
from mpiapps.launch.mpi import MPI


def has_own_devices(comm: MPI.Intracomm) -> bool:
    """Return whether NCCL is installed and each rank has its own device. Collective.

    Cost: an all-gather of an identity.
    """
    device, cuda = None, arrays.cuda_module().cuda
    if arrays.nccl_module().available:
        device = cuda.runtime.getDeviceProperties(cuda.Device().id)["uuid"]
    devices = comm.allgather(device)
    return None not in devices and len(set(devices)) == comm.size


class NcclMessages:
    """The methods of `device_messages.DeviceMessages`, by NCCL. Collective to make.

    Cost: one NCCL call per message, on the current stream.
    """

    def __init__(self, comm: MPI.Intracomm) -> None:
        self._nccl = arrays.nccl_module()
        identity = self._nccl.get_unique_id() if comm.rank == 0 else None
        identity = comm.bcast(identity)
        self._comm = self._nccl.NcclCommunicator(comm.size, identity, comm.rank)

    def start_bcast(self, array: Array, root: int) -> Callable[[], None]:
        """Start a broadcast; kernels that are started later see it. Collective."""
        if array.size:
            pointer, *rest, stream = self._arguments(array)
            self._comm.broadcast(pointer, pointer, *rest, root, stream)
        return lambda: None

    def exchange(self, to: int, out: Array, source: int, into: Array) -> None:
        """Send `out` to one rank and receive `into` from another. Collective."""
        self._nccl.groupStart()
        if out.size:
            self.send(out, to)
        if into.size:
            self.recv(into, source)
        self._nccl.groupEnd()

    def send(self, array: Array, dest: int) -> None:
        """Send an array. Local; the stream waits for the receiver."""
        *message, stream = self._arguments(array)
        self._comm.send(*message, dest, stream)

    def recv(self, array: Array, source: int) -> None:
        """Receive an array. Local; the stream waits for the sender."""
        *message, stream = self._arguments(array)
        self._comm.recv(*message, source, stream)

    def _arguments(self, array: Array) -> tuple[int, int, int, int]:
        """Return address, number of bytes, type of bytes, and the current stream."""
        data: Any = as_bytes(array)
        stream = arrays.array_module(array).cuda.get_current_stream()
        return data.data.ptr, data.size, self._nccl.NCCL_UINT8, stream.ptr
