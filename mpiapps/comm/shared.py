"""Arrays in shared memory: one copy per host."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from operator import index
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from mpiapps.comm import host_memory
from mpiapps.comm.chunking import Array, as_bytes, bcast_bytes, checked_dtype
from mpiapps.comm.collectives import plain_array
from mpiapps.comm.consistency import raise_together
from mpiapps.comm.pickling import Pickled, pack, unpack
from mpiapps.comm.world import World
from mpiapps.launch.forks import is_child
from mpiapps.launch.mpi import MPI

ALIGNMENT = 64  # bytes of a cache line


class SharedArray:
    """An ndarray in memory that the ranks of a host share.

    Collective over each host's ranks to create and to free, and a context manager that
    frees. The memory is one `MPI.Win.Allocate_shared` window of the host's first rank.

    Parameters
    ----------
    world : World
    shape, dtype
        The same on all ranks of a host. A side may be 0; any NumPy dtype without Python
        objects.

    Attributes
    ----------
    array : ndarray
        C-contiguous, initially zero. After writing, call `sync` before other ranks
        read. Invalid after `free`.
    """

    def __init__(
        self, world: World, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64
    ) -> None:
        """Allocate the memory on the first rank of each host. Collective.

        Raises
        ------
        TypeError, ValueError
            On all ranks of the host, if a side is negative or not an integer, the dtype
            holds objects, or the ranks disagree.
        """
        self._node = world.node
        with raise_together(self._node) as same:
            shape = tuple(map(index, shape))
            if min(shape, default=0) < 0:
                raise ValueError(f"shape {shape}: sides must be 0 or more")
            plain: np.dtype[Any] = checked_dtype(dtype)
            same("SharedArray", shape, plain)
        size = math.prod(shape) * plain.itemsize
        own_size = size if world.local_rank == 0 else 0
        # At least one byte, since some libraries do not support empty windows.
        self._window = MPI.Win.Allocate_shared(
            max(own_size, 1), plain.itemsize or 1, comm=self._node
        )
        memory, _ = self._window.Shared_query(0)
        self.array: Array = np.ndarray(shape, plain, buffer=cast(memoryview, memory))
        if world.local_rank == 0:
            as_bytes(self.array)[:] = 0
        self.sync()

    def sync(self) -> None:
        """Make previous writes visible to all ranks of the host. Collective.

        Cost: one barrier among the host's ranks.
        """
        self._window.Lock_all(MPI.MODE_NOCHECK)
        self._window.Sync()
        self._node.Barrier()
        self._window.Sync()
        self._window.Unlock_all()

    def free(self) -> None:
        """Free the memory, after a barrier of the host's ranks. Collective."""
        self._node.Barrier()
        self.array = np.empty(0)
        self._window.Free()

    def __enter__(self) -> SharedArray:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Free the memory, unless an error ends the program. Collective."""
        if exc[0] is None and not is_child():
            self.free()


def share(world: World, array: Array | None) -> SharedArray:
    """Return the root's array on every rank, one read-only copy per host. Collective.

    `array` has any shape and dtype without objects, and is ignored on other ranks than
    the root. Raises `TypeError` on all ranks if it is not such an array. Cost: a header
    of about 100 bytes to all; the array once to the first rank of each host, in
    messages of at most 1 GiB.
    """
    header = None
    with raise_together(world.comm) as same:
        same("share")
        if world.is_root:
            array = plain_array(array)
            header = (array.shape, array.dtype)
    shape, dtype = world.comm.bcast(header, root=world.root)
    shared = SharedArray(world, shape, dtype)
    _bcast_to_hosts(world, shared.array, array)
    shared.sync()
    shared.array.flags.writeable = False
    return shared


def _bcast_to_hosts(world: World, memory: Array, array: Array | None) -> None:
    """Copy the root's array to the memory of each host. Collective."""
    # Rank 0 is the first of its host, so it is among these leaders.
    first_of_host = world.local_rank == 0
    color = 0 if first_of_host else MPI.UNDEFINED
    leaders = cast(MPI.Intracomm, world.comm.Split(color, world.rank))
    if first_of_host:
        if world.is_root:
            memory[...] = array
        bcast_bytes(leaders, memory, root=0)
        leaders.Free()


@contextmanager
def share_object(world: World, value: Any) -> Iterator[Any]:
    """Yield the root's object on every rank. Collective to enter and to leave.

    Its contiguous arrays of 64 KiB or more, also within other objects such as sparse
    matrices or data frames, are one read-only copy per host, valid in the ``with``
    block; the rest is pickled for each rank. `value` is ignored on other ranks.
    `mpiapps.comm.host_memory.dumps` pickles it for other processes, without the arrays.

    Raises
    ------
    Exception
        On all ranks: the error of pickling or unpickling the object.
    """
    packed, header = None, None
    with raise_together(world.comm) as same:
        same("share_object")
        if world.is_root:
            packed = pack(value)
            header = bytes(packed.data), [each.nbytes for each in packed.buffers]
    data, sizes = world.objects.bcast(header, root=world.root)
    with ExitStack() as stack:
        shared = stack.enter_context(_mapped(world, packed, sizes))
        if shared is None:
            shared = [
                stack.enter_context(share(world, each)).array
                for each in (packed.buffers if packed else [None] * len(sizes))
            ]
        with raise_together(world.comm):
            value = unpack(Pickled(data, shared))
        yield value


@contextmanager
def _mapped(
    world: World, packed: Pickled | None, sizes: list[int]
) -> Iterator[list[npt.NDArray[np.uint8]] | None]:
    """Yield the root's buffers, one copy per host, that other processes can map.

    Collective to enter and to leave. `None` if a rank cannot map the memory of the
    first rank of its host. Cost: an all-gather, and the buffers to each host once.
    """
    starts = np.cumsum([0, *(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)])
    with _memory_of_hosts(world.comm, world.node, int(starts[-1])) as (own, memory):
        if memory is None:
            yield None
            return
        ends = zip(starts.tolist(), sizes, strict=False)
        parts = [slice(start, start + size) for start, size in ends]
        for number, part in enumerate(parts):
            target = own[part] if own is not None else np.empty(0)
            _bcast_to_hosts(world, target, packed.buffers[number] if packed else None)
        world.node.Barrier()
        yield [memory[part] for part in parts]
        world.node.Barrier()  # other ranks may start processes until they leave


@contextmanager
def _memory_of_hosts(
    comm: MPI.Intracomm, node: MPI.Intracomm, nbytes: int
) -> Iterator[tuple[Array | None, npt.NDArray[np.uint8] | None]]:
    """Yield memory of each host: to be written, on its first rank, and to be read.

    Collective to enter. Neither if a rank cannot map it.
    """
    own = None
    if nbytes and node.rank == 0 and host_memory.is_supported():
        with suppress(OSError):
            own = host_memory.HostMemory(nbytes)
    try:
        key = host_memory.host_key() if host_memory.is_supported() else ""
        found = comm.allgather((key, own.location if own else None))
        memory = None
        with suppress(OSError):
            if key:
                at = {host: location for host, location in found if location}
                memory = host_memory.REFERENCES.map(at)
        if not comm.allreduce(memory is not None, op=MPI.LAND):
            memory = None
        yield (own.array if own else None), memory
    finally:
        if own is not None:
            own.close()


def can_map(comm: MPI.Intracomm) -> bool:
    """Return whether all ranks can map memory of the first one. Collective.

    Not if they are on several hosts, or in containers of their own.
    """
    node = cast(MPI.Intracomm, comm.Split_type(MPI.COMM_TYPE_SHARED))
    on_one_host = comm.allreduce(node.size == comm.size, op=MPI.LAND)
    with _memory_of_hosts(comm, node, 1) as (_, memory):
        node.Free()
        return on_one_host and memory is not None
