"""Blocks of a matrix in a file whose elements are in C or Fortran order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array, as_bytes
from mpiapps.kernels.transpose import transposed
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.parallel_io import Bytes, Transfer
from mpiapps.linalg.redistribute import redistribute

# Shortest parts of rows that ranks access themselves. Reading: shorter ones cost more
# system calls than a redistribution costs time. Writing: parallel file systems lock
# ranges of a stripe, 1 MiB by default in Lustre, for one client at a time.
MIN_READ_BYTES, MIN_WRITE_BYTES = 2**14, 2**20
# The root writes smaller matrices: a flush by each rank would take longer.
MIN_PARALLEL_BYTES = 2**20
# A tile that is converted or transposed: it fits in the cache, and has enough rows to
# fill cache lines, and long parts of rows.
TILE_ELEMENTS, TILE_ROWS = 2**18, 64
Convert = Callable[[Array], Array]
Tile = tuple[slice, slice]


@dataclass(frozen=True)
class FileBlock:
    """The elements of one rank in a file, a block of a matrix in C order.

    A file in Fortran order holds the transposed matrix in C order.

    Attributes
    ----------
    layout : Layout
        Of the matrix of C order, with one contiguous block per rank.
    rank : int
    dtype : dtype
        As stored.
    fortran : bool
    """

    layout: Layout
    rank: int
    dtype: np.dtype[Any]
    fortran: bool

    @property
    def matrix_layout(self) -> Layout:
        """The layout of the matrix itself, each element on the same rank."""
        return self.layout.T if self.fortran else self.layout

    def read(
        self, read: Transfer, offset: int, dtype: np.dtype[Any], convert: Convert
    ) -> Array:
        """Return the local block of the matrix as `dtype`. Local.

        `offset` is the first byte of the elements in the file. `convert` checks
        elements of the stored dtype, and returns them as `dtype`.
        """
        shape = self.layout.local_shape(self.rank)
        if dtype == self.dtype and not self.fortran:
            block = np.empty(shape, dtype)
            self._transfer(read, offset, block, _whole(shape))
            return block
        result = np.empty(shape[::-1] if self.fortran else shape, dtype)
        stored = result.T if self.fortran else result
        for tile in _tiles(shape):
            part = np.empty(stored[tile].shape, self.dtype)
            self._transfer(read, offset, part, tile)
            stored[tile] = convert(part)
        return result

    def write(self, write: Transfer, offset: int, local: Array) -> None:
        """Write the local block of the matrix. Local."""
        shape = self.layout.local_shape(self.rank)
        if not self.fortran:
            self._transfer(write, offset, local, _whole(shape))
            return
        for tile in _tiles(shape):
            self._transfer(write, offset, transposed(local[tile[::-1]]), tile)

    def _transfer(
        self, transfer: Transfer, offset: int, part: Array, tile: Tile
    ) -> None:
        """Read or write a C-contiguous part of the local block."""
        coords = self.layout.coords(self.rank)
        if coords is None or not part.size:
            return
        rows, cols = self.layout.rows, self.layout.cols
        first_row = rows.span(coords[0]).start + tile[0].start
        first_col = cols.span(coords[1]).start + tile[1].start
        size = self.dtype.itemsize
        start = offset + (first_row * cols.n + first_col) * size
        for index, segment in enumerate(_segments(part, cols.n)):
            transfer(start + index * cols.n * size, segment)


def _segments(part: Array, n: int) -> Iterator[Bytes]:
    """Yield the bytes of each row, or of all rows if they have all `n` columns."""
    if part.shape[1] == n:
        yield as_bytes(part)
    else:
        yield from map(as_bytes, part)


def _whole(shape: tuple[int, int]) -> Tile:
    return slice(0, shape[0]), slice(0, shape[1])


def _tiles(shape: tuple[int, int]) -> Iterator[Tile]:
    """Yield the tiles of a block, row by row."""
    m, n = shape
    cols = max(1, min(n, TILE_ELEMENTS // max(1, min(m, TILE_ROWS))))
    rows = TILE_ELEMENTS // cols
    for i in range(0, m, rows):
        for j in range(0, n, cols):
            yield slice(i, min(i + rows, m)), slice(j, min(j + cols, n))


def read_layout(wanted: Layout, size: int, itemsize: int) -> Layout:
    """Return the layout in which `size` ranks read a file of C order. Local.

    `wanted` itself if each rank has one block, of complete rows or of parts of at least
    16 KiB; else contiguous rows.
    """
    return _file_layout(wanted, size, itemsize, MIN_READ_BYTES)


def _file_layout(wanted: Layout, size: int, itemsize: int, min_bytes: int) -> Layout:
    rows, cols = wanted.rows, wanted.cols
    if rows.is_contiguous and (
        cols.procs == 1 or (cols.is_contiguous and cols.block * itemsize >= min_bytes)
    ):
        return wanted
    return Layout.blocks(wanted.shape, (size, 1))


def file_block(a: DistMatrix, *, fortran: bool = False) -> tuple[FileBlock, Array]:
    """Return the block that this rank writes, and its elements. Collective.

    In the layout of `a` if each rank has one block, of complete rows or of parts of at
    least 1 MiB; else the matrix is redistributed. A small one moves to the root.
    """
    comm, wanted = a.comm, a.layout.T if fortran else a.layout
    if a.nbytes < MIN_PARALLEL_BYTES:
        stored = Layout.on_one(wanted.shape, 0)
    else:
        itemsize = a.dtype.itemsize
        stored = _file_layout(wanted, comm.size, itemsize, MIN_WRITE_BYTES)
    block = FileBlock(stored, comm.rank, a.dtype, fortran)
    return block, redistribute(comm, a.local, a.layout, block.matrix_layout)
