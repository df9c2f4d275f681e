"""Arrays of Dask from .npy files, each chunk read by the worker that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpiapps.base.errors import InputError, naming

if TYPE_CHECKING:
    import dask.array as da

Places = list[tuple[int, int]]


def from_npy(path: str, chunks: Any = "auto") -> da.Array:
    """Return the array in a .npy file that all hosts see. Local; reads its header.

    Parameters
    ----------
    path : str
    chunks : int, tuple or "auto"
        As for `dask.array.from_array`; for `dask.array.linalg.svd` leave the columns in
        one: ``(100_000, -1)``.

    Raises
    ------
    InputError, ReadWriteError
        If it is no such file, or cannot be read.

    Notes
    -----
    `dask.array.from_npy_stack` reads folders that `dask.array.to_npy_stack` made. Here
    no part of the file goes through the client.
    """
    import dask.array as da
    from dask.base import tokenize

    whole = str(Path(path).resolve())
    with naming(path, "read"):
        status = Path(whole).stat()
    try:
        header = np.load(whole, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:  # whose own advice is to load it unsafely
        raise InputError(f"{path} is no .npy file of numbers") from error
    sizes = da.core.normalize_chunks(chunks, header.shape, dtype=header.dtype)
    found: da.Array = da.map_blocks(
        _block, whole, chunks=sizes, dtype=header.dtype,
        meta=np.empty((0,) * header.ndim, header.dtype),
        # The name of the array: another one when the file has changed.
        token=tokenize(whole, status.st_mtime_ns, status.st_size, sizes),
    )  # fmt: skip
    return found


def _block(path: str, block_info: Any = None) -> np.ndarray:
    """Return a chunk. On a worker."""
    places: Places = block_info[None]["array-location"]
    part = tuple(slice(*place) for place in places)
    return np.array(np.load(path, mmap_mode="r", allow_pickle=False)[part])
