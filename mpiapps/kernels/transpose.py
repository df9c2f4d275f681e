"""Transposition of arrays: NumPy's copy of a transposed view is slow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.kernels.jit import kernel

Array = npt.NDArray[Any]

# A strip has at least so many rows, whose pages fit in the TLB, and so many elements.
MIN_ROWS, MIN_ELEMENTS = 64, 2**14
LINE, TILE = 8, 64  # float64 in a cache line; columns whose lines are read together
# Rows this many bytes apart share few sets of the L1 cache.
CONFLICT = 1024
UNITS = {4: np.uint32, 8: np.uint64, 16: np.complex128}  # as which the kernel copies


def transposed(
    array: Array, *, conjugate: bool = False, out: Array | None = None
) -> Array:
    """Return ``array.T``, or its conjugate, as a C-contiguous copy, in `out` if given.

    `array` is two-dimensional. Two to ten times as fast as
    ``np.ascontiguousarray(array.T)`` where rows or columns are a multiple of `CONFLICT`
    bytes. An array on a device is copied there.
    """
    if not isinstance(array, np.ndarray):
        turned = array.T.conj() if conjugate and array.dtype.kind == "c" else array.T
        if out is None:
            return turned.copy(order="C")
        out[...] = turned
        return out
    if out is None:
        out = np.empty(array.shape[::-1], array.dtype)
    unit = UNITS.get(array.itemsize)
    if unit is not None and _has_conflicts(array) and out.dtype == array.dtype:
        _transpose(array.view(unit), out.view(unit))
    else:
        step = max(MIN_ROWS, MIN_ELEMENTS // max(1, len(out)))
        for start in range(0, len(array), step):
            strip = slice(start, start + step)
            out[:, strip] = array[strip].T
    if conjugate and out.dtype.kind == "c":
        np.conjugate(out, out=out)
    return out


def _has_conflicts(array: Array) -> bool:
    """Return whether the cache holds few rows of an array that the kernel takes."""
    return (
        min(array.shape) >= TILE
        and any(side * array.itemsize % CONFLICT == 0 for side in array.shape)
        and array.flags.c_contiguous
        and array.flags.writeable  # another type for numba
        and array.dtype.kind in "biufc"
    )


@kernel
def _transpose(array: Array, out: Array) -> None:
    """Set `out` to the transposed array, a cache line of a row of `out` at a time."""
    m, n = array.shape
    whole = m - m % LINE
    for start in range(0, n, TILE):
        stop = min(start + TILE, n)
        for i in range(0, whole, LINE):
            for j in range(start, stop):
                for k in range(LINE):
                    out[j, i + k] = array[i + k, j]
        for j in range(start, stop):
            for i in range(whole, m):
                out[j, i] = array[i, j]
