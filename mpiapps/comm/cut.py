"""Arrays as bytes, in messages that every MPI takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.comm.mpi import MPI

# Open MPI before 6.0 takes counts and displacements of at most 2**31 - 1: a Bcast of
# more bytes fails, and so does a Scatterv whose displacement passes it. Messages are
# cut here; below it the library's own collectives are used as they are.
CUT = 2**30  # bytes

Array = npt.NDArray[Any]


def checked_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return `dtype` if its values are plain bytes, else raise `TypeError`. Local."""
    checked = np.dtype(dtype)
    if checked.hasobject:
        raise TypeError(
            f"dtype {checked} holds Python objects, which have no fixed bytes; send"
            " them with World.objects (pickled), or convert them to a plain dtype"
        )
    return checked


def as_bytes(array: Array) -> npt.NDArray[np.uint8]:
    """Return the bytes of a C-contiguous `array` as a flat view. Local."""
    return array.reshape(-1).view(np.uint8)


def pieces(array: Array) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the bytes of a C-contiguous `array` in views of at most 1 GiB. Local."""
    data = as_bytes(array)
    for start in range(0, data.size, CUT):
        yield data[start : start + CUT]


def bcast_bytes(comm: MPI.Comm, array: Array, root: int) -> None:
    """Fill C-contiguous `array`, alike on all ranks, from the root's. Collective.

    Cost: one broadcast per GiB.
    """
    for piece in pieces(array):
        comm.Bcast(piece, root=root)
