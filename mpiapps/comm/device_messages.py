"""Messages of arrays on devices, by the fastest way that works on a communicator.

Three classes have the same methods: through host memory, which always works; device
buffers passed to MPI; and NCCL. All synchronise the current stream before a message
where MPI would read or write memory that a kernel still uses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast

import numpy as np

from mpiapps.base.errors import UsageError
from mpiapps.comm.chunking import Array, iter_chunks
from mpiapps.comm.nccl import NcclMessages, has_own_devices
from mpiapps.device import arrays
from mpiapps.device.arrays import array_module, synchronize
from mpiapps.device.awareness import device_buffers_work
from mpiapps.launch.mpi import MPI

Wait = Callable[[], object]
# host, mpi or nccl: use this way; default: the first of nccl, mpi, host that works.
VARIABLE = "MPIAPPS_DEVICE_MESSAGES"


class DeviceMessages(Protocol):
    """Messages of C-contiguous arrays on a device over one communicator."""

    def start_bcast(self, array: Array, root: int) -> Wait:
        """Start a broadcast; return the function that completes it. Collective."""

    def exchange(self, to: int, out: Array, source: int, into: Array) -> None:
        """Send `out` to one rank and receive `into` from another. Collective."""

    def send(self, array: Array, dest: int) -> None:
        """Send an array; its memory may be reused. Local."""

    def recv(self, array: Array, source: int) -> None:
        """Receive an array. Local."""


class HostStaging:
    """Messages through page-locked host memory.

    Cost: the MPI message, one download on the sender, and one upload on each receiver.
    """

    def __init__(self, comm: MPI.Intracomm) -> None:
        self._comm = comm

    def start_bcast(self, array: Array, root: int) -> Wait:
        """Start a broadcast; return the function that completes it. Collective."""
        is_root = self._comm.rank == root
        host = _downloaded(array) if is_root else _pinned(array)
        requests = [self._comm.Ibcast(chunk, root=root) for chunk in _chunks(host)]

        def wait() -> None:
            MPI.Request.Waitall(requests)
            if not is_root:
                _upload(array, host)

        return wait

    def exchange(self, to: int, out: Array, source: int, into: Array) -> None:
        """Send `out` to one rank and receive `into` from another. Collective."""
        sent, received = _downloaded(out), _pinned(into)
        exchange_buffers(self._comm, to, sent, source, received)
        _upload(into, received)

    def send(self, array: Array, dest: int) -> None:
        """Send an array. Local."""
        for chunk in _chunks(_downloaded(array)):
            self._comm.Send(chunk, dest=dest)

    def recv(self, array: Array, source: int) -> None:
        """Receive an array. Local."""
        host = _pinned(array)
        for chunk in _chunks(host):
            self._comm.Recv(chunk, source=source)
        _upload(array, host)


class DeviceBuffers:
    """Messages of device memory, by an MPI that was built for it.

    Cost: the MPI message, and a wait for the current stream.
    """

    def __init__(self, comm: MPI.Intracomm) -> None:
        self._comm = comm

    def start_bcast(self, array: Array, root: int) -> Wait:
        """Start a broadcast; return the function that completes it. Collective."""
        synchronize(array)
        chunks = _chunks(array)
        requests = [self._comm.Ibcast(chunk, root=root) for chunk in chunks]
        return lambda: MPI.Request.Waitall(requests)

    def exchange(self, to: int, out: Array, source: int, into: Array) -> None:
        """Send `out` to one rank and receive `into` from another. Collective."""
        synchronize(into)
        exchange_buffers(self._comm, to, out, source, into)

    def send(self, array: Array, dest: int) -> None:
        """Send an array. Local."""
        synchronize(array)
        for chunk in _chunks(array):
            self._comm.Send(chunk, dest=dest)

    def recv(self, array: Array, source: int) -> None:
        """Receive an array. Local."""
        synchronize(array)
        for chunk in _chunks(array):
            self._comm.Recv(chunk, source=source)


def _chunks(array: Array) -> Iterable[Array]:
    """Return the bytes of an array in views of at most 1 GiB; none if it is empty."""
    return iter_chunks(array) if array.size else ()


def _pinned(array: Array) -> Array:
    """Return page-locked host memory for the elements of an array. Local.

    CuPy reuses it; transfers are some three times as fast as with other memory.
    """
    memory = array_module(array).cuda.alloc_pinned_memory(max(1, array.nbytes))
    return np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)


def _downloaded(array: Array) -> Array:
    """Return a copy in page-locked host memory; wait for the kernels before. Local."""
    host = _pinned(array)
    array_module(array).asnumpy(array, out=host)
    return host


def _upload(array: Array, host: Array) -> None:
    """Copy page-locked host memory to the device, and wait. Local."""
    device: Any = array
    device.set(host)
    synchronize(array)


def exchange_buffers(
    comm: MPI.Intracomm, to: int, out: Array, source: int, into: Array
) -> None:
    """Exchange arrays whose memory MPI reads; empty ones are not sent. Collective."""
    requests = [comm.Irecv(chunk, source=source) for chunk in _chunks(into)]
    requests += [comm.Isend(chunk, dest=to) for chunk in _chunks(out)]
    MPI.Request.Waitall(requests)


WAYS: dict[str, Callable[[MPI.Intracomm], DeviceMessages]] = {
    "host": HostStaging,
    "mpi": DeviceBuffers,
    "nccl": NcclMessages,
}


_DEVICE_BUFFERS: list[bool] = []  # whether they work on this host, once it is known
_KEY = MPI.Comm.Create_keyval()


def device_messages(comm: MPI.Intracomm) -> DeviceMessages:
    """Return the messages of device arrays over `comm`. Collective at the first call.

    NCCL if each rank has a device of its own; device buffers if the MPI takes them;
    else host memory. `VARIABLE` overrides the choice.

    Raises
    ------
    UsageError
        If `VARIABLE` has another value than a key of `WAYS`.
    """
    messages: Any = comm.Get_attr(_KEY)
    if messages is None:
        messages = WAYS[chosen_way(comm)](comm)
        comm.Set_attr(_KEY, messages)
    found: DeviceMessages = messages
    return found


def wanted_way() -> str:
    """Return the way that `VARIABLE` asks for, or an empty string. Local.

    Raises
    ------
    UsageError
        If it has another value than a key of `WAYS`, or NCCL is not installed.
    """
    way = os.environ.get(VARIABLE, "")
    if way and way not in WAYS:
        raise UsageError(f"{VARIABLE}={way}: expected one of {', '.join(WAYS)}")
    if way == "nccl" and not arrays.nccl_module().available:
        raise UsageError(f"{VARIABLE}=nccl: CuPy has no NCCL; use host or mpi")
    return way


def chosen_way(comm: MPI.Intracomm) -> str:
    """Return the way that `device_messages` takes, a key of `WAYS`. Collective."""
    if way := wanted_way():
        return way
    if has_own_devices(comm):
        return "nccl"
    if not all(comm.allgather(bool(_DEVICE_BUFFERS))):
        _DEVICE_BUFFERS[:] = [_takes_device_buffers(comm)]
    return "mpi" if all(comm.allgather(_DEVICE_BUFFERS[0])) else "host"


def _takes_device_buffers(comm: MPI.Intracomm) -> bool:
    """Return whether MPI takes device buffers on this host. Collective.

    The first rank of each host tries it.
    """
    node = cast(MPI.Intracomm, comm.Split_type(MPI.COMM_TYPE_SHARED))
    works = node.rank == 0 and device_buffers_work()
    works = bool(node.bcast(works))
    node.Free()
    return works
