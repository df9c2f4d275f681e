"""Sums, norms and traces, replicated on all ranks."""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import BOOL
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.linalg.reproducible_sums import (
    MAGNITUDES,
    SQUARES,
    Terms,
    largest_sum,
    reproducible_sums,
)
from mpiapps.linalg.stacking import stacked

NORMS = ("fro", "1", "inf", "max")
# Sums of squares between which no square that counts overflows or underflows.
SMALLEST_SUM, LARGEST_SUM = 2.0**-800, 2.0**1000


@of_matrix
def row_sums(a: DistMatrix) -> Array:
    """Return the sum of each row, shape (m,), on every rank. Collective.

    The same bits in any layout: `mpiapps.linalg.reproducible_sums.reproducible_sums`.
    """
    with raise_together(a.comm) as same:
        same("row_sums", a)
    return np.asarray(sums(a, 1))


@of_matrix
def col_sums(a: DistMatrix) -> Array:
    """Return the sum of each column, shape (n,), on every rank. Collective.

    As `row_sums`.
    """
    with raise_together(a.comm) as same:
        same("col_sums", a)
    return np.asarray(sums(a, 0))


@of_matrix
def total(a: DistMatrix) -> Any:
    """Return the sum of all elements, on every rank. Collective; as `row_sums`."""
    with raise_together(a.comm) as same:
        same("total", a)
    return sums(a, None)


def sums(a: DistMatrix, axis: int | None) -> Any:
    """Return sums in the dtype of the matrix, of masks as integers. Collective.

    As `row_sums` for axis 1, `col_sums` for 0 and `total` for none, for callers whose
    ranks agree on the arguments: they are not compared.
    """
    if a.dtype == BOOL:
        return sum_over_ranks(a, np.asarray(a.local.sum(axis=axis)), axis)[()]
    return reproducible_sums(a, axis).astype(a.dtype, copy=False)[()]


def sum_over_ranks(a: DistMatrix, local_values: Array, axis: int | None) -> Array:
    """Return the sums of local values over the ranks. Collective.

    Parameters
    ----------
    a : DistMatrix
    local_values : ndarray
        One value per local column (axis 0) or local row (axis 1), or a scalar; the
        same dtype on all ranks.
    axis : {None, 0, 1}

    Returns
    -------
    ndarray
        One value per global column or row, or a scalar; summed in rank order.
    """
    values = stacked(a, local_values, axis)
    if axis is None:
        return np.asarray(values.sum())
    if len(values) == 1:
        return np.asarray(values[0])
    result = np.zeros(values.shape[1], values.dtype)
    for part in values:
        result += part
    return result


@of_matrix
def diagonal(a: DistMatrix, k: int = 0) -> Array:
    """Return diagonal k on every rank: above the main one if positive. Collective.

    Cost: one all-gather of the diagonal.
    """
    with raise_together(a.comm) as same:
        same("diagonal", a, k)
        below, above = max(0, -index(k)), max(0, index(k))
    numbers = np.arange(max(0, min(a.shape[0] - below, a.shape[1] - above)))
    return np.asarray(a[numbers + below, numbers + above])


@of_matrix
def trace(a: DistMatrix, offset: int = 0) -> Any:
    """Return the sum of a diagonal, on every rank. Collective; as `diagonal`.

    The same bits on any grid and any number of ranks.
    """
    return diagonal(a, offset).sum()


@of_matrix
def norm(a: DistMatrix, kind: str = "fro") -> float:
    """Return a norm of A, on every rank; NaN if an element is NaN. Collective.

    Parameters
    ----------
    a : DistMatrix
    kind : {"fro", "1", "inf", "max"}
        Frobenius (scaled to avoid intermediate overflow and underflow), largest column
        sum, largest row sum, largest element.

    Notes
    -----
    The same bits in any layout: sums do not depend on their order, and elements are
    scaled by a power of two that depends on the largest one. Cost: the Frobenius norm
    one pass over A, three if the squares could overflow or underflow.
    """
    with raise_together(a.comm) as same:
        same("norm", a, kind)
        if kind not in NORMS:
            raise ValueError(f"norm {kind!r} is not one of {', '.join(NORMS)}")
    if kind in ("1", "inf"):
        return largest_sum(a, int(kind == "inf"), MAGNITUDES)
    if kind == "fro":
        sum_of_squares = float(reproducible_sums(a, None, SQUARES))
        if SMALLEST_SUM < sum_of_squares < LARGEST_SUM:
            return math.sqrt(sum_of_squares)
        if math.isnan(sum_of_squares):  # |inf + nan j| is infinite
            return sum_of_squares
    largest = float(np.max(a.comm.allgather(_largest(a.local))))
    if kind == "max" or largest == 0 or not math.isfinite(largest):
        return largest
    exponent = math.frexp(largest)[1]

    def squares(chunk: Array, _rows: slice, _columns: slice) -> Array:
        parts = chunk.view(chunk.real.dtype).astype(float)
        terms: Array = np.square(np.ldexp(parts, -exponent))
        return terms.reshape(chunk.shape[0], -1)

    sum_of_squares = float(reproducible_sums(a, None, Terms(squares, is_complex=False)))
    with np.errstate(over="ignore"):
        return float(np.ldexp(math.sqrt(sum_of_squares), exponent))


def _largest(local: Array) -> float:
    """Return the largest magnitude, 0 if there are no elements. Local."""
    if local.dtype.kind == "f":  # without a copy
        ends = local.max(initial=0.0), -local.min(initial=0.0)
        return abs(float(np.maximum(*ends)))
    return float(np.abs(local).astype(float, copy=False).max(initial=0.0))
