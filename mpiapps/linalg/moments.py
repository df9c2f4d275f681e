"""Mean and standard deviation of all elements, of columns, or of rows."""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.reductions import sum_over_ranks

BLOCK_ELEMENTS = 2**20  # elements per block of squares


def mean(a: DistMatrix, axis: int | None = None) -> Any:
    """Return the mean, on every rank. Collective; as `numpy.mean`.

    Parameters
    ----------
    a : DistMatrix, m x n
    axis : {None, 0, 1, -2, -1}
        None: of all elements, a scalar; 0: of columns, shape (n,); 1: of rows, (m,).

    Notes
    -----
    Sums are accumulated in double precision, in the order of the grid. Cost: an
    all-gather of the local sums.
    """
    with raise_together(a.comm) as same:
        axis = _axis(axis)
        same("mean", a, axis)
    return _as_dtype_of(a, _mean(a, axis))


def std(a: DistMatrix, axis: int | None = None, ddof: int = 0) -> Any:
    """Return the standard deviation, on every rank. Collective; as `numpy.std`.

    `axis` is as for `mean`; the divisor is the number of elements minus `ddof`.

    Notes
    -----
    Two-pass algorithm with correction by the sum of the deviations, which is not zero
    because the mean is rounded: no cancellation for large means (Chan, Golub, LeVeque:
    Algorithms for computing the sample variance, The American Statistician 37 (1983)).
    Cost: as three means; no copy of the matrix.
    """
    with raise_together(a.comm) as same:
        axis, ddof = _axis(axis), index(ddof)
        same("std", a, axis, ddof)
    center = _broadcast_center(a, _mean(a, axis), axis)
    m, n = a.local.shape
    shape = {None: (), 0: (n,), 1: (m,)}[axis]
    squares, deviations = (
        np.zeros(shape),
        np.zeros(shape, np.result_type(a.dtype, float)),
    )
    step = max(1, BLOCK_ELEMENTS // max(1, n))
    for begin in range(0, m, step):
        rows = slice(begin, begin + step)
        deviation = a.local[rows] - (center[rows] if axis == 1 else center)
        square = (deviation * deviation.conj()).real
        if axis == 1:
            squares[rows], deviations[rows] = square.sum(axis=1), deviation.sum(axis=1)
        else:
            squares += square.sum(axis=axis)
            deviations += deviation.sum(axis=axis)
    count = _count(a, axis)
    correction = np.square(np.abs(sum_over_ranks(a, deviations, axis))) / count
    total = np.maximum(sum_over_ranks(a, squares, axis) - correction, 0)
    with np.errstate(all="ignore"):  # NaN as in NumPy, without its warning
        return _as_dtype_of(a, np.sqrt(total / np.maximum(count - ddof, 0))).real


def _broadcast_center(a: DistMatrix, center: Array, axis: int | None) -> Array:
    """Return the centers, broadcastable to the local block."""
    if axis is None:
        return center
    return center[a.col_indices] if axis == 0 else center[a.row_indices][:, None]


def _axis(axis: int | None) -> int | None:
    """Return the axis as None, 0 or 1."""
    if axis not in {None, 0, 1, -2, -1}:
        raise ValueError(f"axis {axis!r} is not one of None, 0, 1, -2, -1")
    return None if axis is None else index(axis) % 2


def _mean(a: DistMatrix, axis: int | None) -> Array:
    local_sums = np.asarray(
        a.local.sum(axis=axis, dtype=np.result_type(a.dtype, float))
    )
    return np.asarray(sum_over_ranks(a, local_sums, axis) / _count(a, axis))


def _count(a: DistMatrix, axis: int | None) -> Any:
    """Return the number of elements per result, or NaN if zero."""
    count = math.prod(a.shape) if axis is None else a.shape[axis]
    return count or math.nan


def _as_dtype_of(a: DistMatrix, values: Array) -> Any:
    """Return `values` in the precision of the matrix, as NumPy does."""
    kind = a.dtype if np.iscomplexobj(values) else a.local.real.dtype
    return np.asarray(values).astype(kind)[()]
