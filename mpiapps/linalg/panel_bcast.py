"""Broadcast of SUMMA panels over a communicator.

On one host, panels are in an MPI shared-memory window, which all ranks read directly;
otherwise they are broadcast, as are panels on devices. Either way two panels may be in
transfer at once.
"""

from __future__ import annotations

import math
import os
from collections import deque
from typing import Any, cast

import numpy as np

from mpiapps.comm.chunking import Array, iter_chunks
from mpiapps.comm.device_messages import Wait, device_messages
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.workspace import Workspace

MIN_SHARED_BYTES = 2**22  # total of all panels below which broadcasts are faster
SLOTS = 4
SHM_FOLDER = "/dev/shm"  # shared memory of MPI libraries on Linux
Part = tuple[Array, int]  # a part of a panel, and its owner


class BroadcastTransport:
    """Broadcasts into private memory, in messages of at most 1 GiB."""

    def __init__(self, comm: MPI.Intracomm, dtype: np.dtype[Any]) -> None:
        self._comm, self._workspace = comm, Workspace(dtype)

    def get_buffer(self, number: int, *shape: int) -> Array:
        """Return the buffer of a panel; the owners fill in their parts. Local."""
        return self._workspace.get(str(number % 2), *shape)

    def start(self, parts: list[Part]) -> list[MPI.Request]:
        """Start the transfer; return requests to wait for. Collective."""
        return [
            self._comm.Ibcast(piece, root=root)
            for part, root in parts
            for piece in iter_chunks(part)
        ]

    def complete(self) -> None:
        """Make the panel readable, after the requests completed. Local."""


class SharedMemoryTransport:
    """Panels in a shared-memory window, each part written once by its owner.

    A rank enters a nonblocking barrier after writing its parts of panel s. After the
    barrier of s - 2 it may overwrite s - 4 with s: all ranks have started s - 2, and
    so have finished the product of s - 4. Hence four slots.
    """

    def __init__(
        self, comm: MPI.Intracomm, dtype: np.dtype[Any], window: MPI.Win
    ) -> None:
        self._comm, self._window = comm, window
        memory, _ = window.Shared_query(0)
        buffer = np.frombuffer(cast(memoryview, memory), dtype=np.uint8)
        slot = buffer.size // SLOTS // dtype.itemsize * dtype.itemsize
        self._slots = [
            buffer[i * slot : (i + 1) * slot].view(dtype) for i in range(SLOTS)
        ]

    def get_buffer(self, number: int, *shape: int) -> Array:
        """Return a slot of the window. Local."""
        return self._slots[number % SLOTS][: math.prod(shape)].reshape(shape)

    def start(self, _: list[Part]) -> list[MPI.Request]:
        """Start the barrier after which other ranks may read. Collective."""
        self._window.Sync()
        return [self._comm.Ibarrier()]

    def complete(self) -> None:
        """Synchronise the memory with the writes of other ranks. Local."""
        self._window.Sync()


class DeviceTransport:
    """Broadcasts of panels on devices, each completed in the order of the starts."""

    def __init__(self, comm: MPI.Intracomm, like: Array) -> None:
        self._comm, self._workspace = comm, Workspace(like.dtype, like)
        self._panels: deque[list[Wait]] = deque()

    def get_buffer(self, number: int, *shape: int) -> Array:
        """Return the buffer of a panel; the owners fill in their parts. Local."""
        return self._workspace.get(str(number % 2), *shape)

    def start(self, parts: list[Part]) -> list[MPI.Request]:
        """Start the transfer; return no requests. Collective."""
        messages = device_messages(self._comm)
        self._panels.append([messages.start_bcast(part, root) for part, root in parts])
        return []

    def complete(self) -> None:
        """Make the panel that was started first readable. Collective."""
        if self._panels:
            for wait in self._panels.popleft():
                wait()


PanelTransport = BroadcastTransport | SharedMemoryTransport | DeviceTransport


def panel_transport(
    comm: MPI.Intracomm, dtype: np.dtype[Any], panel: int, total: int
) -> PanelTransport:
    """Return the transport for panels in host memory of a product. Collective.

    Parameters
    ----------
    comm : MPI.Comm
    dtype : dtype
    panel, total : int
        Elements of the largest panel and of all panels; the same on all ranks.
    """
    if comm.size == 1 or total * dtype.itemsize < max(1, MIN_SHARED_BYTES):
        return BroadcastTransport(comm, dtype)
    window = _window_of(comm, SLOTS * panel * dtype.itemsize)
    return (
        BroadcastTransport(comm, dtype)
        if window is None
        else SharedMemoryTransport(comm, dtype, window)
    )


def _free_windows(_comm: MPI.Comm, _key: int, windows: list[MPI.Win]) -> None:
    for window in windows:
        window.Unlock_all()
        window.Free()


_KEY = MPI.Comm.Create_keyval(delete_fn=_free_windows)


def _window_of(comm: MPI.Intracomm, size: int) -> MPI.Win | None:
    """Return a shared window of at least `size` bytes, or `None`. Collective.

    Cached on the communicator, and freed with it.
    """
    windows: Any = comm.Get_attr(_KEY)
    if windows and windows[0].Shared_query(0)[0].nbytes >= size:
        return cast(MPI.Win, windows[0])
    if not _fits(comm, size):
        return None
    if windows:
        comm.Delete_attr(_KEY)
    window = MPI.Win.Allocate_shared(size if comm.rank == 0 else 0, comm=comm)
    window.Lock_all(MPI.MODE_NOCHECK)
    comm.Set_attr(_KEY, [window])
    return window


def _fits(comm: MPI.Intracomm, size: int) -> bool:
    """Return whether the ranks share a host with enough shared memory. Collective."""
    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    same_host = node.size == comm.size
    node.Free()
    if not comm.allreduce(same_host, op=MPI.LAND):
        return False
    # A lack of memory would raise SIGBUS at the first access, not at the allocation.
    try:
        state = os.statvfs(SHM_FOLDER)
        free = state.f_bavail * state.f_frsize
    except OSError:
        free = 0
    communicators = max(1, (os.cpu_count() or 1) // comm.size)
    return bool(comm.bcast(free >= 2 * communicators * size))
