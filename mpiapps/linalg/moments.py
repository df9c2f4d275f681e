"""Mean and standard deviation of a matrix, of its columns, of its rows."""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np

from mpiapps.comm.agree import agree
from mpiapps.comm.cut import Array
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.reduce import summed

BLOCK = 2**20  # elements whose squares are held at once


def mean(a: DistMatrix, axis: int | None = None) -> Any:
    """Return the mean, on every rank. Collective; as `numpy.mean`.

    Parameters
    ----------
    a : DistMatrix, m x n
    axis : {None, 0, 1, -2, -1}
        Of all elements: a number. Of each column: shape (n,). Of each row: (m,).

    Notes
    -----
    Sums are of float64 or complex128, also for single precision, and are added in the
    order of the grid. Cost: an all-gather of as many numbers as are returned from each
    rank that has some.
    """
    with agree(a.comm) as same:
        axis = _axis(axis)
        same("mean", a, axis)
    return _as(a, _mean(a, axis))


def std(a: DistMatrix, axis: int | None = None, ddof: int = 0) -> Any:
    """Return the standard deviation, on every rank. Collective; as `numpy.std`.

    Parameters
    ----------
    a : DistMatrix, m x n
    axis : {None, 0, 1, -2, -1}
        As for `mean`.
    ddof : int
        The sum of squares is divided by the number of elements less this.

    Notes
    -----
    In two passes, of what is left of the mean, less the square of the sum of that: it
    is not zero, since the mean is rounded. Large numbers that differ little so lose no
    digits (Chan, Golub, LeVeque: Algorithms for computing the sample variance, The
    American Statistician 37 (1983)). Cost: that of three means; no copy of the matrix.
    """
    with agree(a.comm) as same:
        axis, ddof = _axis(axis), index(ddof)
        same("std", a, axis, ddof)
    center = _placed(a, _mean(a, axis), axis)
    squares, rests = np.zeros(_shape(a, axis)), np.zeros(_shape(a, axis), _wide(a))
    width = max(1, a.local.shape[1])
    step = max(1, BLOCK // width)
    for begin in range(0, a.local.shape[0], step):
        rows = slice(begin, begin + step)
        less = a.local[rows] - (center[rows] if axis == 1 else center)
        square = (less * less.conj()).real
        if axis == 1:
            squares[rows], rests[rows] = square.sum(axis=1), less.sum(axis=1)
        else:
            squares += square.sum(axis=axis)
            rests += less.sum(axis=axis)
    count = _count(a, axis)
    rest = np.square(np.abs(summed(a, rests, axis))) / count
    total = np.maximum(summed(a, squares, axis) - rest, 0)
    with np.errstate(all="ignore"):  # as NumPy, which only warns
        return _as(a, np.sqrt(total / np.maximum(count - ddof, 0))).real


def _placed(a: DistMatrix, center: Array, axis: int | None) -> Array:
    """Return what to take from each element of this rank's part."""
    if axis is None:
        return center
    return center[a.col_indices] if axis == 0 else center[a.row_indices][:, None]


def _shape(a: DistMatrix, axis: int | None) -> tuple[int, ...]:
    """Return the shape of what this rank's part is added up to."""
    m, n = a.local.shape
    return {None: (), 0: (n,), 1: (m,)}[axis]


def _axis(axis: int | None) -> int | None:
    """Return the axis as None, 0 or 1."""
    if axis not in {None, 0, 1, -2, -1}:
        raise ValueError(f"axis {axis!r} is not one of None, 0, 1, -2, -1")
    return None if axis is None else index(axis) % 2


def _wide(a: DistMatrix) -> type[np.inexact[Any]]:
    return np.complex128 if a.dtype.kind == "c" else np.float64


def _mean(a: DistMatrix, axis: int | None) -> Array:
    mine = np.asarray(a.local.sum(axis=axis, dtype=_wide(a)))
    return np.asarray(summed(a, mine, axis) / _count(a, axis))


def _count(a: DistMatrix, axis: int | None) -> Any:
    """Return how many elements there are to each result; NaN for none."""
    count = math.prod(a.shape) if axis is None else a.shape[axis]
    return count or math.nan


def _as(a: DistMatrix, found: Array) -> Any:
    """Return the result in the precision of the matrix, as NumPy does."""
    kind = a.dtype if np.iscomplexobj(found) else a.local.real.dtype
    return np.asarray(found).astype(kind)[()]
