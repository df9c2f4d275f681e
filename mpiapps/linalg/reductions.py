"""Sums, norms and traces, replicated on all ranks."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpiapps.comm.block_plan import BlockPlan
from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.distmatrix import DistMatrix

NORMS = ("fro", "1", "inf", "max")


def row_sums(a: DistMatrix) -> Array:
    """Return the sum of each row, shape (m,), on every rank. Collective.

    Summed in the order of the process columns: the same bits in every run, and on any
    number of ranks if each holds complete rows. Cost: one all-gather of m numbers per
    process column.
    """
    with raise_together(a.comm) as same:
        same("row_sums", a)
    return sum_over_ranks(a, a.local.sum(axis=1), 1)


def col_sums(a: DistMatrix) -> Array:
    """Return the sum of each column, shape (n,), on every rank. Collective.

    As `row_sums` of the transposed matrix: the same bits on any number of ranks if each
    holds complete columns.
    """
    return row_sums(a.T)


def total(a: DistMatrix) -> Any:
    """Return the sum of all elements, on every rank. Collective.

    Local sums are added in rank order: the same bits in every run.
    """
    with raise_together(a.comm) as same:
        same("total", a)
    return sum_over_ranks(a, np.asarray(a.local.sum()), None)[()]


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
    ranks = range(a.comm.size)
    if axis is None:
        numbers = _allgather(a, local_values, [1] * a.comm.size)
        return np.asarray(numbers.sum())
    summed_axis = a.layout.rows if axis else a.layout.cols
    coords = map(a.layout.coords, ranks)
    indices = [
        np.empty(0, np.int64) if coord is None else summed_axis.indices(coord[1 - axis])
        for coord in coords
    ]
    numbers = _allgather(a, local_values, [part.size for part in indices])
    result = np.zeros(summed_axis.n, local_values.dtype)
    begin = 0
    for part in indices:
        result[part] += numbers[begin : begin + part.size]
        begin += part.size
    return result


def _allgather(a: DistMatrix, local_values: Array, counts: list[int]) -> Array:
    """Return the values of all ranks, in rank order. Collective."""
    return BlockPlan(a.comm, counts, (), local_values.dtype).allgather(
        local_values.reshape(-1)
    )


def diagonal(a: DistMatrix) -> Array:
    """Return the diagonal, shape (min(m, n),), on every rank. Collective.

    Cost: one all-gather of the diagonal.
    """
    with raise_together(a.comm) as same:
        same("diagonal", a)
    rows, cols = a.layout.rows, a.layout.cols
    diag = np.arange(min(a.shape))
    owner = np.array(a.layout.ranks)[rows.owner(diag) * cols.procs + cols.owner(diag)]
    local_values = diag[owner == a.comm.rank]
    counts = np.bincount(owner, minlength=a.comm.size)
    result = np.empty(diag.size, a.dtype)
    result[np.argsort(owner, kind="stable")] = _allgather(
        a,
        a.local[rows.local(local_values), cols.local(local_values)],
        counts.tolist(),
    )
    return result


def trace(a: DistMatrix) -> Any:
    """Return the sum of the diagonal, on every rank. Collective; cost as `diagonal`.

    The same bits on any grid and any number of ranks.
    """
    return diagonal(a).sum()


def norm(a: DistMatrix, kind: str = "fro") -> float:
    """Return a norm of A, on every rank; NaN if an element is NaN. Collective.

    Parameters
    ----------
    a : DistMatrix
    kind : {"fro", "1", "inf", "max"}
        Frobenius (scaled to avoid intermediate overflow and underflow), largest column
        sum, largest row sum, largest element.
    """
    with raise_together(a.comm) as same:
        same("norm", a, kind)
        if kind not in NORMS:
            raise ValueError(f"norm {kind!r} is not one of {', '.join(NORMS)}")
    sizes = np.abs(a.local).astype(float, copy=False)
    if kind in ("1", "inf"):
        absolute = DistMatrix(a.comm, a.layout, sizes, agreed=True)
        sums = col_sums(absolute) if kind == "1" else row_sums(absolute)
        return float(sums.max(initial=0.0))
    largest = float(np.max(a.comm.allgather(sizes.max(initial=0.0))))
    if kind == "max" or largest == 0 or not np.isfinite(largest):
        return largest
    squares = a.comm.allgather(float(np.square(sizes / largest).sum()))
    return largest * float(np.sqrt(sum(squares)))
