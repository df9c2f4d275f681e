"""Exchange of halos: the indices around a block, which other ranks own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.comm.cartesian import CartGrid, Slices, region_type, regions_buffer
from mpiapps.comm.chunking import Array, checked_dtype
from mpiapps.comm.consistency import raise_together
from mpiapps.comm.partition import block, owner
from mpiapps.launch.forks import is_child
from mpiapps.launch.mpi import MPI


class Halo:
    """The exchange of the halos of blocks of one dtype on a `CartGrid`.

    Collective to create and to free, and a context manager that frees. An array *with
    halo* has the block of its rank, and `width` indices more at both ends of each
    dimension. After an exchange these have the values of the ranks that own them, as
    ``np.pad(..., mode="wrap")`` of the whole array in periodic dimensions; those
    outside the whole array are left as they are: boundary values are the caller's.

    Parameters
    ----------
    grid : CartGrid
    dtype : dtype
        Any NumPy dtype without Python objects.
    width : int
        Number of indices at each end, 1 or more. Blocks may be thinner than `width`,
        or empty: values then also come from ranks beyond the nearest.
    corners : bool
        Whether indices outside the block in several dimensions are exchanged too, as
        stencils with diagonal terms need.

    Attributes
    ----------
    shape : tuple of int
        Shape of this rank's array with halo.
    inside : tuple of slice
        The block in the array with halo.
    core : tuple of slice
        Indices of the block, in the array with halo, at least `width` away from its
        ends: a stencil there reads no halo.
    rim : list of tuple of slice
        The other indices of the block, in disjoint parts.

    Raises
    ------
    TypeError, ValueError
        On all ranks, if the dtype has objects, `width` is below 1, or arguments differ.

    Notes
    -----
    Cost of an exchange: one call of Ineighbor_alltoallw; a message to each rank with a
    part of the halo, of ``width * itemsize`` bytes per index of the face. With blocks
    of at least `width`, these are 2 per dimension with other ranks, or up to
    ``3**ndim - 1`` with corners. Datatypes are made once; MPI packs from and into the
    array, and no other copy is made.

    Examples
    --------
    >>> with CartGrid(world, (n, n)) as grid, Halo(grid) as halo:
    ...     u = halo.zeros()
    ...     u[halo.inside] = grid.scatter(start)
    ...     request = halo.start(u)
    ...     update(u, halo.core)
    ...     request.Wait()
    ...     for part in halo.rim:
    ...         update(u, part)
    """

    def __init__(
        self,
        grid: CartGrid,
        dtype: npt.DTypeLike = np.float64,
        width: int = 1,
        *,
        corners: bool = False,
    ) -> None:
        """Find the neighbours and create the datatypes. Collective."""
        with raise_together(grid.comm) as same:
            self.dtype: np.dtype[Any] = checked_dtype(dtype)
            self.width = index(width)
            if self.width < 1:
                raise ValueError(f"width {width}: a halo has 1 or more indices")
            same("Halo", grid.shape, grid.dims, self.dtype, self.width, corners)
        self.shape = tuple(n + 2 * self.width for n in grid.block_shape)
        self.inside = tuple(slice(self.width, self.width + n) for n in grid.block_shape)
        self.core = tuple(_shrunk(part, self.width) for part in self.inside)
        self.rim = list(_around(self.core, self.inside))
        sources = _regions(_received(grid, self.width), grid, corners, receives=True)
        targets = _regions(_sent(grid, self.width), grid, corners, receives=False)
        self._sends, self._receives = self._types(targets), self._types(sources)
        # Not from `grid.comm`: Open MPI 5.0 takes a graph of its ranks for a grid.
        self._comm = grid.ranks.Create_dist_graph_adjacent(list(sources), list(targets))

    def _types(self, regions: dict[int, list[Slices]]) -> list[MPI.Datatype]:
        size = self.dtype.itemsize
        return [region_type(self.shape, size, parts) for parts in regions.values()]

    def zeros(self) -> Array:
        """Return a new array with halo, of zeros. Local."""
        return np.zeros(self.shape, self.dtype)

    def start(self, array: Array) -> MPI.Request:
        """Start the exchange of an array with halo; return its request. Collective.

        Until ``request.Wait()`` the caller may read the array, and write it only to
        `core`, less another `width` from its ends. ``request.Test()`` lets the MPI
        progress. Several arrays may be exchanged at a time; all ranks start them in the
        same order.

        Raises
        ------
        ValueError
            On its rank, before any message, if `array` has another shape or dtype, or
            is not C-contiguous and writable.
        """
        if (
            array.shape != self.shape
            or array.dtype != self.dtype
            or not (array.flags.c_contiguous and array.flags.writeable)
        ):
            raise ValueError(
                f"the array is {array.dtype} {array.shape}; this halo needs"
                f" C-contiguous writable {self.dtype} {self.shape} on rank"
                f" {self._comm.rank}"
            )
        return self._comm.Ineighbor_alltoallw(
            regions_buffer(array, self._sends), regions_buffer(array, self._receives)
        )

    def exchange(self, array: Array) -> None:
        """Exchange the halo of an array, as `start`, and wait for it. Collective."""
        self.start(array).Wait()

    def free(self) -> None:
        """Free communicator and datatypes, after all exchanges. Collective."""
        for datatype in (*self._sends, *self._receives):
            datatype.Free()
        self._comm.Free()

    def __enter__(self) -> Halo:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Free everything, unless an error ends the program. Collective."""
        if exc[0] is None and not is_child():
            self.free()


@dataclass(frozen=True)
class Piece:
    """Contiguous indices of one dimension that one coordinate has from another.

    `at` is their position in the receiver's array with halo, `of` that in the sender's;
    `inner` if they are the receiver's own block.
    """

    receiver: int
    sender: int
    at: int
    of: int
    length: int
    inner: bool = False


def pieces(
    n: int, procs: int, coord: int, width: int, *, periodic: bool
) -> Iterator[Piece]:
    """Yield what `coord` has with its halo, of `n` indices in balanced blocks.

    Local.
    """
    own = block(n, procs, coord)
    if not own:
        return
    yield Piece(coord, coord, width, width, len(own), inner=True)
    for side in (own.start - width, own.start), (own.stop, own.stop + width):
        start, stop = side if periodic else (max(side[0], 0), min(side[1], n))
        while start < stop:
            sender = owner(n, procs, start % n)
            part = block(n, procs, sender)
            length = min(stop - start, part.stop - start % n)
            at = start - own.start + width
            yield Piece(coord, sender, at, start % n - part.start + width, length)
            start += length


def _received(grid: CartGrid, width: int) -> list[list[Piece]]:
    """Return what this rank has, per dimension. Local."""
    axes = zip(grid.shape, grid.dims, grid.coords, grid.periodic, strict=True)
    return [
        list(pieces(n, procs, coord, width, periodic=periodic))
        for n, procs, coord, periodic in axes
    ]


def _sent(grid: CartGrid, width: int) -> list[list[Piece]]:
    """Return what other coordinates have of this rank, per dimension. Local.

    Cost: the sum of the grid's sides, not their product.
    """
    axes = zip(grid.shape, grid.dims, grid.coords, grid.periodic, strict=True)
    return [
        [
            piece
            for receiver in range(procs)
            for piece in pieces(n, procs, receiver, width, periodic=periodic)
            if piece.sender == coord
        ]
        for n, procs, coord, periodic in axes
    ]


def _regions(
    axes: list[list[Piece]], grid: CartGrid, corners: bool, *, receives: bool
) -> dict[int, list[Slices]]:
    """Return the regions of the array with halo by the rank they are exchanged with.

    Both ranks order them by the receiver's positions.
    """
    regions: dict[int, list[Slices]] = {}
    for parts in sorted(product(*axes), key=lambda parts: [part.at for part in parts]):
        outer = sum(not part.inner for part in parts)
        if not outer or (outer > 1 and not corners):
            continue
        coords = [part.sender if receives else part.receiver for part in parts]
        starts = [part.at if receives else part.of for part in parts]
        region = tuple(
            slice(start, start + part.length)
            for start, part in zip(starts, parts, strict=True)
        )
        regions.setdefault(grid.comm.Get_cart_rank(coords), []).append(region)
    return regions


def _shrunk(part: slice, width: int) -> slice:
    start = min(part.start + width, part.stop)
    return slice(start, max(start, part.stop - width))


def _around(core: Slices, inside: Slices) -> Iterable[Slices]:
    """Yield disjoint slabs that, with `core`, are `inside`."""
    for axis, (inner, outer) in enumerate(zip(core, inside, strict=True)):
        for slab in slice(outer.start, inner.start), slice(inner.stop, outer.stop):
            part = (*core[:axis], slab, *inside[axis + 1 :])
            if all(side.stop > side.start for side in part):
                yield part
