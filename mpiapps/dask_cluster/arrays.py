"""Dask arrays from .npy files; each chunk is read by the worker that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpiapps.base.errors import InputError, os_errors

if TYPE_CHECKING:
    import dask.array as da


def from_npy(path: str, chunks: Any = "auto") -> da.Array:
    """Return a Dask array of a .npy file on a shared file system. Reads its header.

    Parameters
    ----------
    path : str
    chunks : int, tuple or "auto"
        As for `dask.array.from_array`; `dask.array.linalg.svd` needs all columns in one
        chunk: ``(100_000, -1)``.

    Raises
    ------
    InputError, FileAccessError
        If it is not such a file, or cannot be read.

    Notes
    -----
    No data goes through the client. `dask.array.from_npy_stack` reads only directories
    that `dask.array.to_npy_stack` wrote.
    """
    import dask.array as da
    from dask.base import tokenize

    resolved = str(Path(path).resolve())
    with os_errors(path, "read"):
        status = Path(resolved).stat()
    try:
        header = np.load(resolved, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:  # NumPy's message suggests allow_pickle
        raise InputError(f"{path} is not a .npy file of numbers") from error
    sizes = da.core.normalize_chunks(chunks, header.shape, dtype=header.dtype)
    array: da.Array = da.map_blocks(
        _block, resolved, chunks=sizes, dtype=header.dtype,
        meta=np.empty((0,) * header.ndim, header.dtype),
        # Part of the array's name, which changes when the file changes.
        token=tokenize(resolved, status.st_mtime_ns, status.st_size, sizes),
    )  # fmt: skip
    return array


def _block(path: str, block_info: Any = None) -> np.ndarray:
    """Return a chunk. On a worker."""
    chunk = tuple(slice(*bounds) for bounds in block_info[None]["array-location"])
    return np.array(np.load(path, mmap_mode="r", allow_pickle=False)[chunk])
