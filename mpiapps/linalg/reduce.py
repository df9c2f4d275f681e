"""Sums, norms and products with a vector: numbers that every rank gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.comm.cut import Array
from mpiapps.comm.move import allgather
from mpiapps.linalg.distmatrix import DistMatrix

NORMS = ("fro", "1", "inf", "max")


def row_sums(a: DistMatrix) -> Array:
    """Return the sum of each row, shape (m,), on every rank. Collective.

    Added in the order of the process columns: the same bits run after run. Cost: one
    all-gather of m numbers for each process column.
    """
    return _together(a, a.local.sum(axis=1))


def col_sums(a: DistMatrix) -> Array:
    """Return the sum of each column, shape (n,), on every rank. Collective."""
    return row_sums(a.T)


def matvec(a: DistMatrix, x: npt.ArrayLike) -> Array:
    """Return ``A x``, shape (m,), on every rank. Collective; also ``A @ x``.

    Parameters
    ----------
    a : DistMatrix, m x n
        It stays where it is.
    x : array_like, shape (n,)
        The same on all ranks.
    """
    vector = np.asarray(x)
    if vector.shape != (a.shape[1],):
        raise ValueError(
            f"cannot multiply {a.shape[0]} x {a.shape[1]} by a vector of shape"
            f" {vector.shape}; expected ({a.shape[1]},)"
        )
    return _together(a, a.local @ vector[a.col_indices])


def _together(a: DistMatrix, mine: Array) -> Array:
    """Return the sums over process columns of each rank's numbers for its rows."""
    numbers = allgather(a.comm, np.ascontiguousarray(mine))
    total = np.zeros(a.shape[0], mine.dtype)
    begin = 0
    for rank in range(a.comm.size):
        found = a.layout.coords(rank)
        if found is None:
            continue
        rows = a.layout.rows.indices(found[0])
        total[rows] += numbers[begin : begin + rows.size]
        begin += rows.size
    return total


def trace(a: DistMatrix) -> Any:
    """Return the sum of the diagonal, on every rank. Collective."""
    on = a.row_indices[:, None] == a.col_indices[None, :]
    return sum(a.comm.allgather(a.local[on].sum()), start=a.dtype.type(0))


def norm(a: DistMatrix, kind: str = "fro") -> float:
    """Return a norm of A, on every rank; NaN if an element is. Collective.

    Parameters
    ----------
    a : DistMatrix
    kind : {"fro", "1", "inf", "max"}
        Frobenius (scaled: it neither overflows nor underflows before the result does),
        the largest column sum, the largest row sum, the largest element.
    """
    if kind not in NORMS:
        raise ValueError(f"norm {kind!r} is not one of {', '.join(NORMS)}")
    sizes = np.abs(a.local).astype(float, copy=False)
    if kind in ("1", "inf"):
        absolute = DistMatrix(a.comm, a.layout, sizes)
        sums = col_sums(absolute) if kind == "1" else row_sums(absolute)
        return float(sums.max(initial=0.0))
    largest = float(np.max(a.comm.allgather(sizes.max(initial=0.0))))
    if kind == "max" or largest == 0 or not np.isfinite(largest):
        return largest
    squares = a.comm.allgather(float(np.square(sizes / largest).sum()))
    return largest * float(np.sqrt(sum(squares)))
