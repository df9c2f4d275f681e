"""Cartesian grids of ranks: the blocks of an n-dimensional array.

Each dimension is cut into balanced contiguous blocks (`mpiapps.comm.partition.block`),
also if it has fewer indices than ranks: the last ranks then have empty blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import index

import numpy as np

from mpiapps.comm import collectives
from mpiapps.comm.chunking import Array, as_bytes
from mpiapps.comm.collectives import plain_array
from mpiapps.comm.consistency import checked_root, raise_together
from mpiapps.comm.partition import block, cartesian_dims
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.launch.forks import is_child
from mpiapps.launch.mpi import MPI

Slices = tuple[slice, ...]


class CartGrid:
    """An array of `shape` in blocks, one for each rank of a Cartesian communicator.

    Collective to create and to free, and a context manager that frees.

    Parameters
    ----------
    ranks : MPI.Intracomm or World
    shape : sequence of int
        Shape of the whole array, one or more dimensions of 0 or more indices.
    dims : sequence of int, optional
        Ranks along each dimension; their product is the number of ranks. Default: the
        grid with the least halo (`mpiapps.comm.partition.cartesian_dims`).
    periodic : bool or sequence of bool
        Whether the first index of a dimension follows its last one.

    Attributes
    ----------
    comm : MPI.Cartcomm
        The ranks in their order, of ``Create_cart``: has ``Shift``, ``Sub`` and the
        collectives.
    ranks : MPI.Intracomm
        The given communicator: the same ranks without a topology.
    shape, dims, coords, periodic : tuple
        Of the array, the grid, this rank's place in it, and per dimension.
    block : tuple of range
        Global indices of this rank's block, per dimension.
    block_shape : tuple of int

    Raises
    ------
    TypeError, ValueError
        On all ranks, if the arguments are not such values or differ between ranks.
    """

    def __init__(
        self,
        ranks: Ranks,
        shape: Sequence[int],
        *,
        dims: Sequence[int] | None = None,
        periodic: bool | Sequence[bool] = False,
    ) -> None:
        """Create the Cartesian communicator. Collective."""
        comm = communicator(ranks)
        with raise_together(comm) as same:
            self.shape = tuple(map(index, shape))
            if not self.shape or min(self.shape) < 0:
                raise ValueError(
                    f"shape {self.shape}: expected one or more dimensions, each of 0"
                    " or more indices"
                )
            self.periodic = _per_dimension(periodic, len(self.shape))
            self.dims = _checked_dims(dims, comm.size, self.shape)
            same("CartGrid", self.shape, self.dims, self.periodic)
        self.ranks = comm
        self.comm = comm.Create_cart(self.dims, self.periodic, reorder=False)
        self.coords = tuple(self.comm.coords)
        self.block = self.block_of(self.comm.rank)
        self.block_shape = tuple(map(len, self.block))

    def block_of(self, rank: int) -> tuple[range, ...]:
        """Return the global indices of the block of `rank`, per dimension. Local."""
        coords = self.comm.Get_coords(rank)
        axes = zip(self.shape, self.dims, coords, strict=True)
        return tuple(block(n, procs, coord) for n, procs, coord in axes)

    def slices_of(self, rank: int) -> Slices:
        """Return the slices that select the block of `rank` in the array. Local."""
        return tuple(slice(part.start, part.stop) for part in self.block_of(rank))

    def scatter(self, array: Array | None, root: int = 0) -> Array:
        """Return this rank's block of the root's `array`, C-contiguous. Collective.

        `array` is of `shape` and any dtype without objects; it is ignored on other
        ranks. Raises on all ranks if it is not. Cost: a copy of the array on the root,
        then as `mpiapps.comm.collectives.scatter`: each element is sent once.
        """
        packed, counts = None, None
        with raise_together(self.comm) as same:
            same("CartGrid.scatter", root := checked_root(self.comm, root))
            if self.comm.rank == root:
                whole = self._checked(plain_array(array), self.shape)
                parts = [whole[self.slices_of(r)] for r in range(self.comm.size)]
                packed = np.empty(whole.size, whole.dtype)  # in its byte order
                np.concatenate([part.reshape(-1) for part in parts], out=packed)
                counts = [part.size for part in parts]
        flat = collectives.scatter(self.comm, packed, counts, root)
        return flat.reshape(self.block_shape)

    def gather(self, block: Array, root: int = 0) -> Array | None:
        """Return the array of all blocks on the root, `None` elsewhere. Collective.

        Blocks have the same dtype on all ranks. Raises on all ranks if one has another
        dtype or shape. Cost: as `mpiapps.comm.collectives.gather`, and a copy of the
        array on the root.
        """
        with raise_together(self.comm) as same:
            same("CartGrid.gather", root := checked_root(self.comm, root))
            part = self._checked(plain_array(block), self.block_shape)
        flat = collectives.gather(self.comm, part.reshape(-1), root)
        if flat is None:
            return None
        array, start = np.empty(self.shape, flat.dtype), 0
        for rank in range(self.comm.size):
            target = array[slices := self.slices_of(rank)]
            array[slices] = flat[start : start + target.size].reshape(target.shape)
            start += target.size
        return array

    def redistribute(self, block: Array, other: CartGrid) -> Array:
        """Return this rank's block of `other`, C-contiguous. Collective.

        `other` is a grid of the same ranks and shape. Raises on all ranks if it is not,
        or a block does not fit. Cost: one call of Alltoallw; each element is sent once,
        and packed by MPI. Grids of the same `dims` need only a copy.
        """
        with raise_together(self.comm) as same:
            part = self._checked(plain_array(block), self.block_shape)
            same("CartGrid.redistribute", self.dims, other.dims, part.dtype)
            if (other.shape, other.comm.size) != (self.shape, self.comm.size):
                raise ValueError(
                    f"the other grid has shape {other.shape} on {other.comm.size}"
                    f" ranks; expected {self.shape} on {self.comm.size}"
                )
        if other.dims == self.dims:
            return part.copy()
        part = np.ascontiguousarray(part)
        result = np.empty(other.block_shape, part.dtype)
        itemsize = part.dtype.itemsize
        sends = [_overlap(self.block, other.block_of(r)) for r in self._ranks]
        receives = [_overlap(other.block, self.block_of(r)) for r in self._ranks]
        with (
            region_types(self.block_shape, itemsize, sends) as send_types,
            region_types(other.block_shape, itemsize, receives) as receive_types,
        ):
            self.comm.Alltoallw(
                regions_buffer(part, send_types), regions_buffer(result, receive_types)
            )
        return result

    @property
    def _ranks(self) -> range:
        return range(self.comm.size)

    def _checked(self, array: Array, shape: tuple[int, ...]) -> Array:
        if array.shape != shape:
            raise ValueError(
                f"the array on rank {self.comm.rank} has shape {array.shape}; this grid"
                f" of {self.dims} ranks needs {shape} there"
            )
        return array

    def free(self) -> None:
        """Free the communicator. Collective."""
        self.comm.Free()

    def __enter__(self) -> CartGrid:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Free the communicator, unless an error ends the program. Collective."""
        if exc[0] is None and not is_child():
            self.free()


@contextmanager
def region_types(
    shape: tuple[int, ...], itemsize: int, regions: Sequence[Sequence[Slices]]
) -> Iterator[list[MPI.Datatype]]:
    """Yield one datatype for each list of regions of an array; free them. Local."""
    types = [region_type(shape, itemsize, region) for region in regions]
    try:
        yield types
    finally:
        for datatype in types:
            datatype.Free()


def region_type(
    shape: tuple[int, ...], itemsize: int, regions: Sequence[Slices]
) -> MPI.Datatype:
    """Return the committed datatype of regions of a C-contiguous array. Local.

    Regions are sent in their order; empty ones are left out.
    """
    subarrays = []
    for region in regions:
        lengths = [part.stop - part.start for part in region]
        if itemsize and min(lengths) > 0:
            starts = [part.start for part in region]
            subarrays.append(
                MPI.BYTE.Create_subarray(
                    [*shape, itemsize], [*lengths, itemsize], [*starts, 0]
                )
            )
    ones, zeros = [1] * len(subarrays), [0] * len(subarrays)
    if subarrays:
        datatype = MPI.Datatype.Create_struct(ones, zeros, subarrays)
    else:
        datatype = MPI.BYTE.Create_contiguous(0)
    for subarray in subarrays:
        subarray.Free()
    return datatype.Commit()


def regions_buffer(array: Array, types: list[MPI.Datatype]) -> list[object]:
    """Return mpi4py's buffer specification of one region type per rank. Local."""
    return [as_bytes(array), [1] * len(types), [0] * len(types), types]


def _overlap(own: Sequence[range], others: Sequence[range]) -> list[Slices]:
    """Return the local slices of what a block has in common with another one."""
    slices = []
    for mine, theirs in zip(own, others, strict=True):
        start, stop = max(mine.start, theirs.start), min(mine.stop, theirs.stop)
        slices.append(slice(start - mine.start, max(start, stop) - mine.start))
    return [tuple(slices)]


def _per_dimension(periodic: bool | Sequence[bool], ndim: int) -> tuple[bool, ...]:
    if isinstance(periodic, bool | np.bool_):
        return (bool(periodic),) * ndim
    if len(periodic) != ndim:
        raise ValueError(
            f"periodic {tuple(periodic)} has {len(periodic)} values; expected one, or"
            f" one for each of {ndim} dimensions"
        )
    return tuple(map(bool, periodic))


def _checked_dims(
    dims: Sequence[int] | None, size: int, shape: tuple[int, ...]
) -> tuple[int, ...]:
    if dims is None:
        return cartesian_dims(size, shape)
    checked = tuple(map(index, dims))
    if len(checked) != len(shape) or min(checked) < 1 or math.prod(checked) != size:
        raise ValueError(
            f"dims {checked}: expected {len(shape)} numbers of ranks, 1 or more, whose"
            f" product is the number of ranks, {size}"
        )
    return checked
