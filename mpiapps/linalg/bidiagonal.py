"""Reduction of matrices to bidiagonal form by Householder reflections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.kernels.blas import add_product
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.block_messages import bcast_in
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.reflectors import (
    PANEL,
    Floats,
    PartialReduction,
    ReductionCallback,
    Reflectors,
)
from mpiapps.linalg.tridiagonal import gather_part, reflection


@dataclass(frozen=True)
class Bidiagonal:
    """The factors of ``A = Q B P.H``: B is upper bidiagonal and real.

    Attributes
    ----------
    diagonal, off_diagonal : ndarray of float64, shapes (n,) and (n - 1,)
        Of B, on every rank.
    left, right : Reflectors
        Q and P.
    """

    diagonal: Floats
    off_diagonal: Floats
    left: Reflectors
    right: Reflectors


def bidiagonalise(
    a: DistMatrix,
    *,
    vectors: bool = True,
    on_panel: ReductionCallback | None = None,
    partial: PartialReduction | None = None,
) -> Bidiagonal:
    """Return the bidiagonal form of A. Collective.

    Parameters
    ----------
    a : DistMatrix, m x n, m >= n, in `tridiagonal.row_layout`
        With a largest element of about one. Overwritten.
    vectors : bool
        If false, the reflections are not kept.
    on_panel : callable, optional
        Called between two panels, and after the last one; only without `vectors`.
    partial : PartialReduction, optional
        Reduction to resume; A is then ignored.

    Notes
    -----
    Blocked as LAPACK's labrd (Dongarra, Hammarling, Sorensen, JCAM 27 (1989)): A is
    distributed by rows, the current panel of rows and columns is on every rank. A
    column costs two all-reduces: of its product with the trailing matrix, and of that
    of a row. Each rank receives about ``3 m n`` elements in all, and does ``4 n^2 (m -
    n/3) / P`` flops, one half in matrix-vector products at the speed of memory.
    """
    n, comm = a.shape[1], a.comm
    shared = np.zeros(2 * n)
    diagonal, off_diagonal = shared[:n], shared[n : n + max(0, n - 1)]
    left, right = Reflectors(comm, a.dtype), Reflectors(comm, a.dtype)
    done = 0
    if partial is not None:
        a, done = partial.matrix, partial.done
        diagonal[:], off_diagonal[:] = partial.diagonal, partial.off_diagonal
    steps = _Steps(a)
    for start in range(done, n, PANEL):
        stop = min(start + PANEL, n)
        steps.begin_panel(start, stop)
        left_factors, right_factors = [], []
        for j in range(start, stop):
            diagonal[j], tau = steps.reflect_column(j)
            left_factors.append(tau)
            if j + 1 < n:
                off_diagonal[j], tau = steps.reflect_row(j)
                right_factors.append(tau)
        if vectors:
            left.append(start, steps.columns[:-1:2, start:], left_factors)
            right.append(start + 1, steps.rows[1::2, start + 1 :], right_factors)
        steps.update_trailing(stop)
        if on_panel is not None:
            on_panel(PartialReduction(a, stop, diagonal, off_diagonal))
    bcast_in(comm, shared, 0)  # the sums of an all-reduce may differ between ranks
    return Bidiagonal(diagonal, off_diagonal, left, right)


class _Steps:
    """The trailing matrix, and the panel that is not yet subtracted from it.

    ``A - sum(c r.H)`` is the trailing matrix, with the following pairs of c and r for
    each column: v of its reflection and ``A.H v``; ``A u`` and u of its row's.

    Attributes
    ----------
    columns, rows : ndarray, shapes (2 k, m) and (2 k, n)
        c and r, where k is the number of columns of the panel.
    """

    def __init__(self, a: DistMatrix) -> None:
        self.comm, self.local, self.axis = a.comm, a.local, a.layout.rows
        self.indices, self.shape = a.row_indices, a.shape
        self.count = 0  # pairs

    def begin_panel(self, start: int, stop: int) -> None:
        """Gather rows and columns ``start`` to ``stop``. Collective."""
        (m, n), k = self.shape, stop - start
        self.start, self.count = start, 0
        self.columns = np.zeros((2 * k, m), self.local.dtype)
        self.rows = np.zeros((2 * k, n), self.local.dtype)
        left, top = slice(start, stop), slice(start, n)
        self.left = self._gather(range(start, m), left).T.copy()
        self.top = self._gather(range(start, stop), top)

    def _gather(self, rows: range, cols: slice) -> Array:
        return gather_part(self.comm, self.local, self.axis, rows, cols)

    def reflect_column(self, j: int) -> tuple[float, Any]:
        """Zero column j below the diagonal; return this and tau. Collective."""
        pairs, rows = self.columns[: self.count], self.rows[: self.count]
        v = self.left[j - self.start, j - self.start :]
        v -= rows[:, j].conj() @ pairs[:, j:]
        value, tau = reflection(v)
        first = self.axis.count_below(j, self.comm.rank)
        own = v[self.indices[first:] - j]
        y = self._sum((own.conj() @ self.local[first:, j + 1 :]).conj())
        y -= (pairs[:, j:].conj() @ v) @ rows[:, j + 1 :]
        self.columns[self.count, j:], self.rows[self.count, j + 1 :] = v, tau * y
        self.count += 1
        return value, tau

    def reflect_row(self, j: int) -> tuple[float, Any]:
        """Zero row j right of the off-diagonal; return this and tau. Collective."""
        pairs, rows = self.columns[: self.count], self.rows[: self.count]
        u = self.top[j - self.start, j + 1 - self.start :]
        u -= pairs[:, j] @ rows[:, j + 1 :].conj()
        np.conjugate(u, out=u)
        value, tau = reflection(u)
        first = self.axis.count_below(j + 1, self.comm.rank)
        x = np.zeros(self.shape[0] - j - 1, u.dtype)
        x[self.indices[first:] - j - 1] = self.local[first:, j + 1 :] @ u
        x = self._sum(x)
        x -= (rows[:, j + 1 :].conj() @ u) @ pairs[:, j + 1 :]
        self.columns[self.count, j + 1 :], self.rows[self.count, j + 1 :] = tau * x, u
        self.count += 1
        return value, tau

    def _sum(self, terms: Array) -> Array:
        """Return the sum over ranks, in place. Collective."""
        if self.comm.size > 1 and terms.size:
            self.comm.Allreduce(MPI.IN_PLACE, terms)
        return terms

    def update_trailing(self, stop: int) -> None:
        """Subtract the panel from the rows and columns from `stop` on. Local."""
        first = self.axis.count_below(stop, self.comm.rank)
        add_product(
            self.local[first:, stop:],
            np.ascontiguousarray(self.columns[:, self.indices[first:]].T),
            np.ascontiguousarray(self.rows[:, stop:].conj()),
            -1,
        )
