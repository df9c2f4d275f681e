"""Sums, norms and products with a vector: numbers that every rank gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.comm.agree import agree
from mpiapps.comm.cut import Array
from mpiapps.comm.plan import BlockPlan
from mpiapps.linalg import operands
from mpiapps.linalg.distmatrix import DistMatrix

NORMS = ("fro", "1", "inf", "max")


def row_sums(a: DistMatrix) -> Array:
    """Return the sum of each row, shape (m,), on every rank. Collective.

    Added in the order of the process columns: the same bits run after run, and on any
    number of ranks if each has whole rows. Cost: one all-gather of m numbers for each
    process column.
    """
    with agree(a.comm) as same:
        same("row_sums", a)
    return summed(a, a.local.sum(axis=1), 1)


def col_sums(a: DistMatrix) -> Array:
    """Return the sum of each column, shape (n,), on every rank. Collective.

    As `row_sums` of the transposed matrix: the same bits on any number of ranks if each
    has whole columns.
    """
    return row_sums(a.T)


def total(a: DistMatrix) -> Any:
    """Return the sum of all elements, on every rank. Collective.

    Each rank's sum, added in the order of ranks: the same bits run after run.
    """
    with agree(a.comm) as same:
        same("total", a)
    return summed(a, np.asarray(a.local.sum()), None)[()]


def matvec(a: DistMatrix, x: npt.ArrayLike) -> Array:
    """Return ``A x``, shape (m,), on every rank. Collective; also ``A @ x``.

    Parameters
    ----------
    a : DistMatrix, m x n
        It stays where it is.
    x : array_like, shape (n,)
        The same on all ranks, to the last bit, which its checksum is compared for.

    Raises
    ------
    TypeError, ValueError
        On all ranks, if x is not such a vector, or the ranks disagree on it.
    """
    with agree(a.comm) as same:
        vector = operands.numbers(x, "x")
        same("matvec", a, vector)
        if vector.shape != (a.shape[1],):
            raise ValueError(
                f"cannot multiply {a.shape[0]} x {a.shape[1]} by a vector of shape"
                f" {vector.shape}; expected ({a.shape[1]},)"
            )
    return summed(a, a.local @ vector[a.col_indices], 1)


def summed(a: DistMatrix, mine: Array, axis: int | None) -> Array:
    """Return the sums over the ranks of what each has for its part. Collective.

    Parameters
    ----------
    a : DistMatrix
    mine : ndarray
        A number for each of this rank's columns (axis 0) or rows (axis 1), or one
        number; of one dtype on all ranks.
    axis : {None, 0, 1}

    Returns
    -------
    ndarray
        For each column or row of the whole, or of no dimension; added in the order of
        ranks.
    """
    ranks = range(a.comm.size)
    if axis is None:
        numbers = _gathered(a, mine, [1] * a.comm.size)
        return np.asarray(numbers.sum())
    side = a.layout.rows if axis else a.layout.cols
    coords = map(a.layout.coords, ranks)
    places = [
        np.empty(0, np.int64) if at is None else side.indices(at[1 - axis])
        for at in coords
    ]
    numbers = _gathered(a, mine, [part.size for part in places])
    result = np.zeros(side.n, mine.dtype)
    begin = 0
    for part in places:
        result[part] += numbers[begin : begin + part.size]
        begin += part.size
    return result


def _gathered(a: DistMatrix, mine: Array, counts: list[int]) -> Array:
    """Return the numbers of all ranks, in their order. Collective."""
    return BlockPlan(a.comm, counts, (), mine.dtype).allgather(mine.reshape(-1))


def diagonal(a: DistMatrix) -> Array:
    """Return the diagonal, shape (min(m, n),), on every rank. Collective.

    Cost: one all-gather of its elements.
    """
    with agree(a.comm) as same:
        same("diagonal", a)
    rows, cols = a.layout.rows, a.layout.cols
    on = np.arange(min(a.shape))
    place = on // rows.block % rows.procs * cols.procs + on // cols.block % cols.procs
    owner = np.array(a.layout.ranks)[place]
    mine = on[owner == a.comm.rank]
    counts = np.bincount(owner, minlength=a.comm.size)
    result = np.empty(on.size, a.dtype)
    result[np.argsort(owner, kind="stable")] = _gathered(
        a, a.local[rows.locals(mine), cols.locals(mine)], counts.tolist()
    )
    return result


def trace(a: DistMatrix) -> Any:
    """Return the sum of the diagonal, on every rank. Collective; cost as `diagonal`.

    The same bits on any grid and any number of ranks.
    """
    return diagonal(a).sum()


def norm(a: DistMatrix, kind: str = "fro") -> float:
    """Return a norm of A, on every rank; NaN if an element is. Collective.

    Parameters
    ----------
    a : DistMatrix
    kind : {"fro", "1", "inf", "max"}
        Frobenius (scaled: it neither overflows nor underflows before the result does),
        the largest column sum, the largest row sum, the largest element.
    """
    with agree(a.comm) as same:
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
