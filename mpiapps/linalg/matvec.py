"""Products of a matrix and a vector, replicated on all ranks."""

from __future__ import annotations

import numpy.typing as npt

from mpiapps.comm.block_plan import BlockPlan
from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg import operands
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.redistribute import own_part, replicate
from mpiapps.linalg.reductions import sum_over_ranks


def matvec(a: DistMatrix, x: npt.ArrayLike) -> Array:
    """Return ``A x``, shape (m,), on every rank. Collective; also ``A @ x``.

    Parameters
    ----------
    a : DistMatrix, m x n
        Not redistributed.
    x : array_like, shape (n,)
        Bitwise the same on all ranks; checksums are compared.

    Raises
    ------
    TypeError, ValueError
        On all ranks, if x is not such a vector, or differs between ranks.

    Notes
    -----
    Cost: one all-gather of m numbers per process column; terms are added in rank order.
    """
    with raise_together(a.comm) as same:
        vector = operands.numbers(x, "x")
        same("matvec", a, vector)
        if vector.shape != (a.shape[1],):
            raise ValueError(
                f"cannot multiply {a.shape[0]} x {a.shape[1]} by a vector of shape"
                f" {vector.shape}; expected ({a.shape[1]},)"
            )
    return _collect(a, a.local @ _own_elements(a, vector, 1))


def vecmat(x: npt.ArrayLike, a: DistMatrix) -> Array:
    """Return ``x A``, shape (n,), on every rank. Collective; as `matvec`."""
    with raise_together(a.comm) as same:
        vector = operands.numbers(x, "x")
        same("vecmat", vector, a)
        if vector.shape != (a.shape[0],):
            raise ValueError(
                f"cannot multiply a vector of shape {vector.shape} by {a.shape[0]} x"
                f" {a.shape[1]}; expected ({a.shape[0]},)"
            )
    return _collect(a, _own_elements(a, vector, 0) @ a.local, left=True)


def _own_elements(a: DistMatrix, vector: Array, axis: int) -> Array:
    """Return the elements of a vector for the local rows or columns. Local."""
    # Where both are index arrays, they have two dimensions, as from `numpy.ix_`.
    elements: Array = vector[own_part(a.layout, a.comm.rank)[axis]].reshape(-1)
    return elements


def _collect(a: DistMatrix, terms: Array, *, left: bool = False) -> Array:
    """Return the sums of the terms of process columns, or of rows. Collective."""
    layout, comm = a.layout.T if left else a.layout, a.comm
    if layout.cols.procs == 1:
        column = Layout(layout.rows, Axis.contiguous(1, 1), layout.ranks)
        return replicate(comm, terms.reshape(-1, 1), column)[:, 0]
    if layout.rows.procs == 1 and len(layout.ranks) == comm.size:
        m = layout.rows.n
        whole = BlockPlan(comm, [m] * comm.size, (), terms.dtype).allgather(terms)
        rows = whole.reshape(comm.size, m)
        total: Array = rows[0].copy()
        for other in rows[1:]:
            total += other
        return total
    return sum_over_ranks(a, terms, 0 if left else 1)
