"""How panels of a product come to the ranks of a communicator.

Ranks of one host read a panel where its owner put it, in memory that they share; others
get it by broadcasts. Either way two panels may be on their way at once.
"""

from __future__ import annotations

import math
import os
from typing import Any, Protocol, cast

import numpy as np

from mpiapps.comm.cut import Array, pieces
from mpiapps.comm.mpi import MPI
from mpiapps.linalg.space import Space

LEAST = 2**22  # bytes of all panels: below, sharing costs more than it saves
SLOTS = 4
WHERE = "/dev/shm"  # where MPI libraries on Linux keep shared memory
Part = tuple[Array, int]  # of a panel, and the rank whose it is


class Carrier(Protocol):
    """One of the ways. `take` and `arrived` are local, `begin` is collective."""

    def take(self, number: int, *shape: int) -> Array:
        """Return space for panel `number`; its owners fill in their parts."""

    def begin(self, parts: list[Part], /) -> list[MPI.Request]:
        """Send the parts that are filled in; wait for what is returned."""

    def arrived(self) -> None:
        """Make visible what was waited for."""


class Broadcasts:
    """Panels in memory of each rank, by messages of at most 1 GiB."""

    def __init__(self, comm: MPI.Intracomm, dtype: np.dtype[Any]) -> None:
        self._comm, self._space = comm, Space(dtype)

    def take(self, number: int, *shape: int) -> Array:
        """Return space of this rank."""
        return self._space.take(str(number % 2), *shape)

    def begin(self, parts: list[Part]) -> list[MPI.Request]:
        """Begin the broadcasts."""
        return [
            self._comm.Ibcast(piece, root=root)
            for part, root in parts
            if part.size
            for piece in pieces(part)
        ]

    def arrived(self) -> None:
        """Do nothing: a message that was waited for is there."""


class Shared:
    """Panels in memory of the host, each written once, by its owners.

    A barrier is begun when a rank has written its parts of panel s. A rank that has
    passed the one of s - 2 may write panel s where s - 4 was: all have begun s - 2, and
    so are through with the product of s - 4. Hence four slots.
    """

    def __init__(
        self, comm: MPI.Intracomm, dtype: np.dtype[Any], window: MPI.Win
    ) -> None:
        self._comm, self._window = comm, window
        memory, _ = window.Shared_query(0)
        whole = np.frombuffer(cast(memoryview, memory), dtype=np.uint8)
        slot = whole.size // SLOTS // dtype.itemsize * dtype.itemsize
        self._slots = [
            whole[i * slot : (i + 1) * slot].view(dtype) for i in range(SLOTS)
        ]

    def take(self, number: int, *shape: int) -> Array:
        """Return space of the host."""
        return self._slots[number % SLOTS][: math.prod(shape)].reshape(shape)

    def begin(self, _: list[Part]) -> list[MPI.Request]:
        """Begin the barrier after which the others may read."""
        self._window.Sync()
        return [self._comm.Ibarrier()]

    def arrived(self) -> None:
        """Make what the others wrote visible here."""
        self._window.Sync()


def carrier(
    comm: MPI.Intracomm, dtype: np.dtype[Any], panel: int, total: int
) -> Carrier:
    """Return how panels go round a communicator. Collective.

    Parameters
    ----------
    comm : MPI.Comm
    dtype : dtype
    panel, total : int
        Elements of the largest panel and of all; the same on all ranks.
    """
    if comm.size == 1 or total * dtype.itemsize < max(1, LEAST):
        return Broadcasts(comm, dtype)
    window = _window_of(comm, SLOTS * panel * dtype.itemsize)
    return Broadcasts(comm, dtype) if window is None else Shared(comm, dtype, window)


def _forget(_comm: MPI.Comm, _key: int, kept: list[MPI.Win]) -> None:
    for window in kept:
        window.Unlock_all()
        window.Free()


_KEY = MPI.Comm.Create_keyval(delete_fn=_forget)


def _window_of(comm: MPI.Intracomm, size: int) -> MPI.Win | None:
    """Return shared memory of `size` bytes or more, or `None`. Collective.

    It is kept with the communicator, and freed with it.
    """
    kept: Any = comm.Get_attr(_KEY)
    if kept and kept[0].Shared_query(0)[0].nbytes >= size:
        return cast(MPI.Win, kept[0])
    if not _fits(comm, size):
        return None
    if kept:
        comm.Delete_attr(_KEY)
    window = MPI.Win.Allocate_shared(size if comm.rank == 0 else 0, comm=comm)
    window.Lock_all(MPI.MODE_NOCHECK)
    comm.Set_attr(_KEY, [window])
    return window


def _fits(comm: MPI.Intracomm, size: int) -> bool:
    """Return whether the ranks share a host with room for all who ask. Collective."""
    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    together = node.size == comm.size
    node.Free()
    if not comm.allreduce(together, op=MPI.LAND):
        return False
    # A shared page that finds no room is a bus error, long after the allocation.
    try:
        state = os.statvfs(WHERE)
        free = state.f_bavail * state.f_frsize
    except OSError:
        free = 0
    asking = max(1, (os.cpu_count() or 1) // comm.size)
    return bool(comm.bcast(free >= 2 * asking * size))
