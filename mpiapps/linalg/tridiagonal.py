"""Reduction of Hermitian matrices to tridiagonal form by Householder reflections."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from mpiapps.comm.block_plan import BlockPlan
from mpiapps.comm.chunking import Array
from mpiapps.kernels.blas import add_product
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.block_messages import bcast_in
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.reflectors import (
    PANEL,
    Floats,
    PartialReduction,
    ReductionCallback,
    Reflectors,
)

ROWS = 8  # block of the cyclic distribution: small, so that the triangle is balanced
UPDATE_ROWS = 128  # per product of an update: they extend to the longest of its rows


def reflection(x: Array) -> tuple[float, Any]:
    """Replace x by v; return b and tau: ``(1 - tau v v.H).H x = b e1``. Local.

    ``v[0] = 1``, and b is real (LAPACK's larfg). x has at least one element, none of
    which overflows when squared.
    """
    head, rest = x[0], x[1:]
    if not rest.any() and head.imag == 0:
        x[0] = 1
        return float(head.real), x.dtype.type(0)
    size, kind = np.sqrt(np.vdot(x, x).real), np.finfo(x.dtype)
    if size < np.sqrt(kind.tiny) / kind.eps:  # squares underflow
        numbers = x.view(x.real.dtype)
        exponent = math.frexp(float(np.abs(numbers).max()))[1]
        np.ldexp(numbers, -exponent, out=numbers)
        value, tau = reflection(x)
        return math.ldexp(value, exponent), tau
    value = -np.copysign(size, head.real)
    rest /= head - value
    x[0] = 1
    return float(value), (value - head) / value


def row_layout(shape: tuple[int, int], size: int) -> Layout:
    """Return the layout of matrices to reduce: rows, block-cyclic. Local."""
    m, n = shape
    return Layout(Axis(m, ROWS, size), Axis(n, max(1, n), 1))


def gather_part(
    comm: MPI.Intracomm, local: Array, axis: Axis, rows: range, cols: slice
) -> Array:
    """Return some rows and columns of a matrix distributed by rows. Collective.

    On every rank; `local` has this rank's rows of `axis`.
    """
    indices = []
    for rank in range(comm.size):
        first, end = (axis.count_below(i, rank) for i in (rows.start, rows.stop))
        indices.append(axis.indices(rank)[first:end] - rows.start)
        if rank == comm.rank:
            block = np.ascontiguousarray(local[first:end, cols])
    counts = [len(i) for i in indices]
    plan = BlockPlan(comm, counts, block.shape[1:], block.dtype)
    part = np.empty((len(rows), block.shape[1]), block.dtype)
    part[np.concatenate(indices)] = plan.allgather(block)
    return part


def tridiagonalise(
    a: DistMatrix,
    *,
    vectors: bool = True,
    on_panel: ReductionCallback | None = None,
    partial: PartialReduction | None = None,
) -> tuple[Floats, Floats, Reflectors]:
    """Return diagonal, off-diagonal and reflections: ``A = H T H.H``. Collective.

    Parameters
    ----------
    a : DistMatrix, n x n, in `row_layout`
        Hermitian with a largest element of about one; only the lower triangle is read.
        Overwritten.
    vectors : bool
        If false, no reflections are kept.
    on_panel : callable, optional
        Called between two panels, and after the last one.
    partial : PartialReduction, optional
        Reduction to resume, of the same `vectors`; A is then ignored.

    Returns
    -------
    diagonal, off_diagonal : ndarray of float64, shapes (n,) and (n - 1,)
        T, on every rank.
    reflections : Reflectors

    Notes
    -----
    Blocked as LAPACK's latrd (Dongarra, Hammarling, Sorensen, JCAM 27 (1989)). The
    trailing matrix is distributed by rows; the current panel and its updates
    are on every rank, so that a column costs one all-reduce: of its product with the
    trailing matrix. Each rank receives about ``n^2`` elements in all, and does
    ``4/3 n^3 / P`` flops, one half in matrix-vector products at the speed of memory,
    and ``3 n^2 PANEL`` flops for the panels.
    """
    n, comm = a.shape[0], a.comm
    state = partial or PartialReduction(a, 0, np.zeros(n), np.zeros(max(0, n - 1)))
    a, diagonal, off_diagonal = state.matrix, state.diagonal, state.off_diagonal
    reflectors = state.reflections or Reflectors(comm, a.dtype)
    steps = _Steps(a)
    for start in range(state.done, n, PANEL):
        stop = min(start + PANEL, n)
        factors = []
        for j, value, column in steps.columns(start, stop):
            diagonal[j] = value
            if column.size:
                off_diagonal[j], tau = reflection(column)
                steps.reflect(j, column, tau)
                factors.append(tau)
        if vectors:
            reflectors.append(start + 1, steps.pairs[::2, start + 1 :], factors)
        steps.update_trailing(stop)
        if on_panel is not None:
            kept = reflectors if vectors else None
            on_panel(PartialReduction(a, stop, diagonal, off_diagonal, kept))
    shared = np.concatenate([diagonal, off_diagonal])
    bcast_in(comm, shared, 0)  # the sums of an all-reduce may differ between ranks
    return shared[:n], shared[n:], reflectors


class _Steps:
    """The trailing matrix, and the panel that is not yet subtracted from it.

    Attributes
    ----------
    pairs : ndarray, shape (2 * PANEL, n)
        For each column of the panel v and w: ``A - sum(v w.H + w v.H)`` is the trailing
        matrix.
    """

    def __init__(self, a: DistMatrix) -> None:
        self.comm, self.local, self.axis = a.comm, a.local, a.layout.rows
        self.rows = a.row_indices
        self.pairs = np.zeros((2 * PANEL, a.shape[0]), a.dtype)
        self.count = 0  # columns of the panel

    def columns(self, start: int, stop: int) -> Iterator[tuple[int, float, Array]]:
        """Yield each column of a panel: index, diagonal element, elements below it.

        Collective at the first column.
        """
        rows, cols = range(start, self.axis.n), slice(start, stop)
        panel = gather_part(self.comm, self.local, self.axis, rows, cols).T.copy()
        self.pairs[:, start:] = 0
        self.count = 0
        for j in range(start, stop):
            column = panel[j - start, j - start :]
            pairs = self.pairs[: 2 * self.count, j:]
            if self.count:
                column -= _swapped(pairs[:, 0].conj()) @ pairs
            yield j, column[0].real, column[1:]

    def reflect(self, j: int, v: Array, tau: Any) -> None:
        """Add the reflection of column j to the panel. Collective."""
        from mpiapps.kernels.hermitian import add_hermitian_product

        first = self.axis.count_below(j + 1, self.comm.rank)
        w = np.zeros_like(v)
        add_hermitian_product(self.local[first:], self.rows[first:], j + 1, v, w)
        if self.comm.size > 1:
            self.comm.Allreduce(MPI.IN_PLACE, w)
        pairs = self.pairs[: 2 * self.count, j + 1 :]
        if self.count:
            w -= _swapped(pairs.conj() @ v) @ pairs
        w *= tau
        w -= (tau * np.vdot(w, v) / 2) * v
        self.pairs[2 * self.count, j + 1 :] = v
        self.pairs[2 * self.count + 1, j + 1 :] = w
        self.count += 1

    def update_trailing(self, stop: int) -> None:
        """Subtract the panel from the rows and columns from `stop` on. Local."""
        pairs = self.pairs[: 2 * self.count]
        if stop == pairs.shape[1]:
            return
        first = self.axis.count_below(stop, self.comm.rank)
        left = np.ascontiguousarray(pairs[:, self.rows[first:]].T)
        right = pairs[:, stop:].conj()
        right = np.ascontiguousarray(
            right.reshape(self.count, 2, -1)[:, ::-1].reshape(right.shape)
        )
        for top in range(first, len(self.rows), UPDATE_ROWS):
            rows = slice(top, top + UPDATE_ROWS)
            width = int(self.rows[rows][-1]) + 1 - stop
            add_product(
                self.local[rows, stop : stop + width],
                left[top - first : top - first + UPDATE_ROWS],
                right[:, :width],
                -1,
            )


def _swapped(numbers: Array) -> Array:
    """Return numbers 1, 0, 3, 2, ... Local."""
    return numbers.reshape(-1, 2)[:, ::-1].reshape(-1)
