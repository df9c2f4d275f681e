"""Mean, variance and standard deviation of all elements, of columns, or of rows."""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.launch.mpi import MPI
from mpiapps.linalg import operands
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.linalg.reproducible_sums import (
    Terms,
    are_whole,
    reproducible_means,
    reproducible_sums,
)
from mpiapps.linalg.stacking import stacked
from mpiapps.linalg.sum_terms import Function
from mpiapps.linalg.workspace import Workspace


@of_matrix
def mean(a: DistMatrix, axis: int | None = None) -> Any:
    """Return the mean, on every rank. Collective; as `numpy.mean`.

    Parameters
    ----------
    a : DistMatrix, m x n
    axis : {None, 0, 1, -2, -1}
        None: of all elements, a scalar; 0: of columns, shape (n,); 1: of rows, (m,).

    Notes
    -----
    The same bits in any layout: sums are in double precision, of
    `mpiapps.linalg.reproducible_sums.reproducible_sums`.
    """
    with raise_together(a.comm) as same:
        axis = _axis(axis)
        same("mean", a, axis)
    return _as_dtype_of(a, _mean(a, axis))


@of_matrix
def std(a: DistMatrix, axis: int | None = None, ddof: float = 0) -> Any:
    """Return the standard deviation, on every rank. Collective; as `numpy.std`.

    The square root of `var`, in the precision of the matrix.
    """
    with raise_together(a.comm) as same:
        axis, ddof = _axis(axis), _ddof(ddof)
        same("std", a, axis, ddof)
    return _as_dtype_of(a, np.sqrt(_var(a, axis, ddof)))


@of_matrix
def var(a: DistMatrix, axis: int | None = None, ddof: float = 0) -> Any:
    """Return the variance, on every rank. Collective; as `numpy.var`.

    `axis` is as for `mean`; the divisor is the number of elements minus `ddof`, a real
    number.

    Notes
    -----
    The same bits in any layout, as `mean`. Two-pass algorithm with correction by the
    sum of the deviations, which is not zero because the mean is rounded: no
    cancellation for large means (Chan, Golub, LeVeque: Algorithms for computing the
    sample variance, The American Statistician 37 (1983)). The sum is computed
    from that of the elements. Cost: as two means, but one all-gather if each row (axis
    1) or column (axis 0) is on one rank; no copy of the matrix.
    """
    with raise_together(a.comm) as same:
        axis, ddof = _axis(axis), _ddof(ddof)
        same("var", a, axis, ddof)
    return _as_dtype_of(a, _var(a, axis, ddof))


def _var(a: DistMatrix, axis: int | None, ddof: float) -> Array:
    """Return the variance in double precision. Collective."""
    if a.comm.size > 1 and a.size and axis is not None and are_whole(a, axis):
        layout = Layout.on_one(a.local.shape, 0)
        own = DistMatrix(MPI.COMM_SELF, layout, a.local, agreed=True)
        return np.asarray(stacked(a, _var(own, axis, ddof), axis)[0])
    center, rest = reproducible_means(a, axis)
    if axis is not None and a.layout.grid[1 - axis] > 1:
        center = center[a.row_indices if axis else a.col_indices]
    count = _count(a, axis)
    with np.errstate(all="ignore"):  # infinities and NaN as in NumPy, without warnings
        terms = Terms(_squared_deviations(a, axis, center), is_complex=False)
        total = reproducible_sums(a, axis, terms)
        correction = count * np.square(np.abs(rest))
        correction = np.where(np.isfinite(correction), correction, 0)
        corrected = np.maximum(total - correction, 0)
        return np.asarray(corrected / np.maximum(count - ddof, 0))


def _squared_deviations(a: DistMatrix, axis: int | None, center: Array) -> Function:
    """Return the function of local elements whose values are squared deviations.

    `center` is the mean of all elements, or has those of the local columns (axis 0) or
    rows (axis 1). Each call overwrites the values of the last one.
    """
    work = Workspace(np.result_type(a.dtype, center))

    def squares(chunk: Array, rows: slice, columns: slice) -> Array:
        shift = center
        if axis is not None:
            shift = center[columns] if axis == 0 else center[rows, None]
        deviation = work.get("deviations", *chunk.shape)
        if chunk.dtype == deviation.dtype:
            np.subtract(chunk, shift, out=deviation)
        else:  # subtracting float64 from float32 is slower than a conversion before
            deviation[...] = chunk
            deviation -= shift
        numbers = deviation.view(deviation.real.dtype)
        np.square(numbers, out=numbers)
        if deviation.dtype.kind == "c":
            numbers[:, ::2] += numbers[:, 1::2]
            return numbers[:, ::2]
        return numbers

    return squares


def _axis(axis: int | None) -> int | None:
    """Return the axis as None, 0 or 1."""
    if axis not in {None, 0, 1, -2, -1}:
        raise ValueError(f"axis {axis!r} is not one of None, 0, 1, -2, -1")
    return None if axis is None else index(axis) % 2


def _ddof(ddof: Any) -> float:
    """Return a real number, or raise `TypeError`."""
    if isinstance(number := operands.number(ddof, "ddof"), complex):
        raise TypeError(f"ddof is {ddof!r}; expected a real number")
    return number


def _mean(a: DistMatrix, axis: int | None) -> Array:
    with np.errstate(all="ignore"):  # as for variances
        return np.asarray(reproducible_sums(a, axis) / _count(a, axis))


def _count(a: DistMatrix, axis: int | None) -> Any:
    """Return the number of elements per result, or NaN if zero."""
    count = math.prod(a.shape) if axis is None else a.shape[axis]
    return count or math.nan


def _as_dtype_of(a: DistMatrix, values: Array) -> Any:
    """Return `values` in the precision of the matrix, as NumPy does."""
    kind = a.dtype if np.iscomplexobj(values) else a.local.real.dtype
    return np.asarray(values).astype(kind)[()]
