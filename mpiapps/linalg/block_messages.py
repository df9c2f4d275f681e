"""Messages of blocks in host memory or on devices. All arrays are C-contiguous."""

from __future__ import annotations

from mpiapps.comm.chunking import Array, bcast_bytes, iter_chunks
from mpiapps.comm.device_messages import Wait, device_messages, exchange_buffers
from mpiapps.device.arrays import on_device
from mpiapps.launch.mpi import MPI


def bcast_in(comm: MPI.Intracomm, array: Array, root: int) -> Array:
    """Broadcast `array` in place; return it. Collective."""
    if on_device(array):
        start_bcast(comm, array, root)()
    elif comm.size > 1 and array.size:
        bcast_bytes(comm, array, root)
    return array


def start_bcast(comm: MPI.Intracomm, array: Array, root: int) -> Wait:
    """Start a broadcast in place; return the function that completes it. Collective."""
    if comm.size == 1 or not array.size:
        return lambda: None
    if on_device(array):
        return device_messages(comm).start_bcast(array, root)
    requests = [comm.Ibcast(piece, root=root) for piece in iter_chunks(array)]
    return lambda: MPI.Request.Waitall(requests)


def prepare(comm: MPI.Intracomm, array: Array) -> None:
    """Choose the way of messages of arrays like this one. Collective.

    Before `send` and `recv` on some of the ranks: the first choice is collective.
    """
    if comm.size > 1 and on_device(array):
        device_messages(comm)


def send(comm: MPI.Intracomm, array: Array, dest: int) -> None:
    """Send an array to `recv` on another rank. Local after `prepare`."""
    if on_device(array):
        device_messages(comm).send(array, dest)
    else:
        comm.Send(array, dest=dest)


def recv(comm: MPI.Intracomm, array: Array, source: int) -> None:
    """Receive an array from `send` on another rank. Local after `prepare`."""
    if on_device(array):
        device_messages(comm).recv(array, source)
    else:
        comm.Recv(array, source=source)


def exchange(
    comm: MPI.Intracomm, to: int, out: Array, source: int, into: Array
) -> None:
    """Send `out` to one rank and receive `into` from another. Collective.

    Both C-contiguous; empty arrays are not sent. Messages of at most 1 GiB.
    """
    if on_device(out):
        device_messages(comm).exchange(to, out, source, into)
    else:
        exchange_buffers(comm, to, out, source, into)
