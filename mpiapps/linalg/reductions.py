"""Sums, norms and traces, replicated on all ranks."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from mpiapps.comm.block_plan import BlockPlan
from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.redistribute import ascend

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
    values = stacked(a, local_values, axis)
    if axis is None:
        return np.asarray(values.sum())
    if len(values) == 1:
        return np.asarray(values[0])
    result = np.zeros(values.shape[1], values.dtype)
    for part in values:
        result += part
    return result


def stacked(a: DistMatrix, local_values: Array, axis: int | None) -> Array:
    """Return the local values of all ranks, as rows that are then reduced. Collective.

    Shape (k, n) for axis 0, (k, m) for axis 1, (k,) for no axis, for k process rows,
    process columns, or ranks with elements, in rank order. Cost: one all-gather.
    """
    layout = a.layout
    shapes = [layout.local_shape(rank) for rank in range(a.comm.size)]
    counts = [
        0 if 0 in shape else 1 if axis is None else shape[1 - axis] for shape in shapes
    ]
    own = np.atleast_1d(local_values)[: counts[a.comm.rank]]
    gathered = BlockPlan(a.comm, counts, (), own.dtype).allgather(own)
    if axis is None:
        return gathered
    across = (layout.cols, layout.rows)[axis]
    k, n = sum(counts) // max(1, across.n), across.n
    if 1 in layout.grid and across.is_contiguous and ascend(layout.ranks):
        return gathered.reshape(k, n)
    result = np.empty((k, n), own.dtype)
    rows: dict[int, int] = {}  # process row or column -> row of the result
    ends = np.cumsum(counts)
    for rank, count in enumerate(counts):
        coords = layout.coords(rank)
        if coords is not None and count:
            row = rows.setdefault(coords[axis], len(rows))
            part = gathered[ends[rank] - count : ends[rank]]
            result[row, across.indices(coords[1 - axis])] = part
    return result


def diagonal(a: DistMatrix, k: int = 0) -> Array:
    """Return diagonal k on every rank: above the main one if positive. Collective.

    Cost: one all-gather of the diagonal.
    """
    with raise_together(a.comm) as same:
        same("diagonal", a, k)
        below, above = max(0, -index(k)), max(0, index(k))
    numbers = np.arange(max(0, min(a.shape[0] - below, a.shape[1] - above)))
    return np.asarray(a[numbers + below, numbers + above])


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
