"""Parallel reading and writing of n-dimensional .npy files in blocks of a grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError, os_errors
from mpiapps.comm.cartesian import CartGrid
from mpiapps.comm.chunking import Array, as_bytes, checked_dtype
from mpiapps.comm.collectives import plain_array
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.atomic_write import write_atomic
from mpiapps.linalg.file_blocks import (
    MIN_PARALLEL_BYTES,
    MIN_READ_BYTES,
    MIN_WRITE_BYTES,
)
from mpiapps.linalg.npy import read_array_header, stamp, write_array_header
from mpiapps.linalg.parallel_io import READ, Bytes, Transfer

Block = tuple[range, ...]


def read_npy_block(grid: CartGrid, path: str | Path, *, method: str = "posix") -> Array:
    """Return this rank's block of the array in a .npy file. Collective.

    Parameters
    ----------
    grid : CartGrid
        Of the shape of the array.
    path : path
        Visible to all ranks; in C order, any dtype without objects, as stored.
    method : {"posix", "mpiio"}

    Raises
    ------
    InputError, FileAccessError
        On all ranks, if the file is not such an array, is truncated, changes while it
        is read, or cannot be read.

    Notes
    -----
    Each rank reads its own elements, without messages, if they are contiguous in parts
    of at least 16 KiB; otherwise the ranks read contiguous parts, and send each element
    once (`CartGrid.redistribute`).
    """
    with raise_together(grid.comm) as same, os_errors(path, "read"):
        shape, fortran, dtype, offset, before = read_array_header(Path(path))
        same("read_npy_block", str(path), shape, fortran, dtype, before, method)
        _check(path, grid, shape, fortran, dtype)
    with _file_grid(grid, dtype.itemsize, MIN_READ_BYTES) as stored:
        block = np.empty(stored.block_shape, dtype)
        with raise_together(grid.comm), os_errors(path, "read"):
            with READ[method](grid.ranks, path) as read:
                _transfer(read, offset, block, shape, stored.block)
            if stamp(Path(path).stat()) != before:
                raise InputError(f"{path} changed while it was read; read it again")
        return stored.redistribute(block, grid)


def write_npy_block(
    path: str | Path, grid: CartGrid, block: Array, *, method: str = "posix"
) -> None:
    """Write the array of all blocks to a .npy file, atomically. Collective.

    In C order, by `mpiapps.linalg.atomic_write.write_atomic`. Blocks are of
    ``grid.block_shape``, and of one dtype without objects. Raises on all ranks if one
    is not, or the file cannot be written; the old file is then unchanged.

    Notes
    -----
    As `read_npy_block`, for parts of at least 1 MiB. The root writes arrays of up to
    1 MiB.
    """

    def begin(file: Path) -> range:
        return write_array_header(file, grid.shape, block.dtype, fortran=False)

    write_blocks(path, grid, block, begin, method)


def write_blocks(
    path: str | Path,
    grid: CartGrid,
    block: Array,
    begin: Callable[[Path], range],
    method: str = "posix",
) -> None:
    """Write the elements of all blocks in C order, as `write_npy_block`. Collective.

    Parameters
    ----------
    begin : callable
        As that of `write_atomic`.
    """
    with raise_together(grid.comm) as same:
        dtype = plain_array(block).dtype
        same("write_blocks", str(path), grid.shape, grid.dims, dtype, method)
    shape, whole = grid.shape, tuple(map(range, grid.shape))
    small = math.prod(shape) * dtype.itemsize < MIN_PARALLEL_BYTES
    gathered = grid.gather(block) if small else None
    with _file_grid(grid, dtype.itemsize, MIN_WRITE_BYTES) as stored:
        part = gathered if small else grid.redistribute(block, stored)

        def write(transfer: Transfer, offset: int) -> None:
            if part is not None:
                place = whole if small else stored.block
                _transfer(transfer, offset, part, shape, place)

        write_atomic(grid.ranks, Path(path), begin, write, method)


def _check(
    path: str | Path,
    grid: CartGrid,
    shape: tuple[int, ...],
    fortran: bool,
    dtype: np.dtype[Any],
) -> None:
    if shape != grid.shape:
        raise InputError(f"{path} has shape {shape}; the grid expects {grid.shape}")
    if fortran and len(shape) > 1:
        raise InputError(
            f"{path} is in Fortran order; expected C order: np.ascontiguousarray"
        )
    try:
        checked_dtype(dtype)
    except TypeError as error:
        raise InputError(f"{path}: {error}") from error


def _file_grid(grid: CartGrid, itemsize: int, min_bytes: int) -> CartGrid:
    """Return a grid whose blocks are long parts of the file. Collective."""
    first_cut = max(
        (axis for axis, procs in enumerate(grid.dims) if procs > 1), default=0
    )
    length = grid.shape[first_cut] // grid.dims[first_cut]
    if length * math.prod(grid.shape[first_cut + 1 :]) * itemsize >= min_bytes:
        return CartGrid(grid.ranks, grid.shape, dims=grid.dims)
    rows = (grid.comm.size, *(1,) * (len(grid.shape) - 1))
    return CartGrid(grid.ranks, grid.shape, dims=rows)


def _transfer(
    transfer: Transfer, offset: int, block: Array, shape: tuple[int, ...], place: Block
) -> None:
    """Read or write a C-contiguous block of an array, run by run. Local."""
    for first, data in _runs(block, shape, place):
        transfer(offset + first * block.dtype.itemsize, data)


def _runs(
    block: Array, shape: tuple[int, ...], place: Block
) -> Iterator[tuple[int, Bytes]]:
    """Yield the first element in the file, and the bytes, of each contiguous run."""
    if not block.size:
        return
    # Dimensions after `axis` are whole, so that a run has all of them.
    axis = len(shape) - 1
    while axis > 0 and len(place[axis]) == shape[axis]:
        axis -= 1
    for outer in np.ndindex(block.shape[:axis]):
        index = [part.start + i for part, i in zip(place, outer, strict=False)]
        index += [part.start for part in place[axis:]]
        first = 0
        for i, n in zip(index, shape, strict=True):
            first = first * n + i
        yield first, as_bytes(block[outer])
