"""Parallel reading and writing of n-dimensional HDF5 datasets in blocks of a grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.comm.cartesian import CartGrid
from mpiapps.comm.chunking import Array
from mpiapps.comm.collectives import plain_array
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.hdf5 import allocate, dataset, opened
from mpiapps.linalg.npy_blocks import write_blocks
from mpiapps.storage.replace_file import real_path

NAME = "array"  # default name of a written dataset
KINDS = "array", "arrays"


def read_hdf5_block(grid: CartGrid, path: str | Path, name: str = "") -> Array:
    """Return this rank's block of an array in an HDF5 file. Collective.

    Parameters
    ----------
    grid : CartGrid
        Of the shape of the array.
    path : path
        Visible to all ranks.
    name : str, optional
        Dataset, or a link to it; optional if the file holds one array. May be chunked
        and compressed; any numeric dtype, as stored.

    Raises
    ------
    InputError
        On all ranks, if the file or the array is missing or damaged, or has another
        shape.

    Notes
    -----
    Each rank opens the file and reads its own elements, without messages; parallel HDF5
    is not needed.
    """
    with raise_together(grid.comm) as same, opened(path) as file:
        data = dataset(file, path, name, _is_array, KINDS)
        same("read_hdf5_block", str(path), name, data.shape, data.dtype)
        if data.shape != grid.shape:
            raise InputError(
                f"{path} has an array of shape {data.shape}; the grid expects"
                f" {grid.shape}"
            )
        block = np.empty(grid.block_shape, data.dtype)
        if block.size:
            data.read_direct(block, grid.slices_of(grid.comm.rank))
    return block


def write_hdf5_block(
    path: str | Path, grid: CartGrid, block: Array, name: str = NAME
) -> None:
    """Write the array of all blocks as a dataset of an HDF5 file. Collective.

    As `mpiapps.linalg.npy_blocks.write_npy_block`; other contents of the file are kept,
    and missing groups are created. Blocks are numeric.
    """
    name, old = name.strip("/"), real_path(Path(path))
    with raise_together(grid.comm) as same:
        same("write_hdf5_block", name)
        if (dtype := plain_array(block).dtype).kind not in "fciub":
            raise TypeError(f"dtype {dtype} is not numeric")

    def begin(part: Path) -> range:
        return allocate(part, old, name, grid.shape, dtype)

    write_blocks(old, grid, block, begin)


def _is_array(item: Any) -> bool:
    return bool(getattr(item, "shape", None)) and item.dtype.kind in "fciub"
