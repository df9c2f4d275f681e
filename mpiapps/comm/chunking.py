"""Arrays as bytes, in messages of a size that every MPI supports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.launch.mpi import MPI

# Open MPI before 6.0 limits counts and displacements to 2**31 - 1: a Bcast of more
# bytes fails, and so does a Scatterv with a larger displacement. Larger messages are
# split; smaller ones use the library's collectives directly.
MAX_MESSAGE_BYTES = 2**30

Array = npt.NDArray[Any]


def checked_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return `dtype` if its values are plain bytes, else raise `TypeError`. Local."""
    checked = np.dtype(dtype)
    if checked.hasobject:
        raise TypeError(
            f"dtype {checked} holds Python objects, which have no fixed size; send"
            " them with World.objects (pickled), or convert them to a plain dtype"
        )
    return checked


def as_bytes(array: Array) -> npt.NDArray[np.uint8]:
    """Return the bytes of a C-contiguous `array` as a flat view. Local."""
    return array.reshape(-1).view(np.uint8)


def iter_chunks(array: Array) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the bytes of a C-contiguous `array` in views of at most 1 GiB. Local."""
    data = as_bytes(array)
    for start in range(0, data.size, MAX_MESSAGE_BYTES):
        yield data[start : start + MAX_MESSAGE_BYTES]


def bcast_bytes(comm: MPI.Comm, array: Array, root: int) -> None:
    """Broadcast the root's C-contiguous `array` into that of each rank. Collective.

    Cost: one broadcast per GiB.
    """
    for chunk in iter_chunks(array):
        comm.Bcast(chunk, root=root)
