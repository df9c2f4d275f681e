"""Products of a matrix that stays where it is and a few columns, many times."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mpiapps.comm.block_plan import BlockPlan
from mpiapps.comm.chunking import Array
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.grid import grid_of
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.summa import reduce_scatter

MAX_IMBALANCE = 1.5  # largest block over an equal share; above it the matrix is moved
Indices = npt.NDArray[np.int64]


class Parts:
    """The rows of skinny matrices, each on one rank. Local to make.

    Attributes
    ----------
    own : ndarray of int64
        The rows of this rank.
    count : int
        Number of rows of all ranks.
    """

    def __init__(self, comm: MPI.Intracomm, indices: Sequence[Indices]) -> None:
        self._comm = comm
        self._counts = [len(part) for part in indices]
        self._order = np.concatenate(indices)
        self._is_sorted = bool((self._order == np.arange(self._order.size)).all())
        self.own, self.count = indices[comm.rank], self._order.size

    def replicate(self, local: Array) -> Array:
        """Return the rows of all ranks, in order, on every rank. Collective.

        Cost: one all-gather.
        """
        if self._comm.size == 1 and self._is_sorted:
            return local
        plan = BlockPlan(self._comm, self._counts, local.shape[1:], local.dtype)
        gathered = plan.allgather(local)
        if self._is_sorted:
            return gathered
        whole = np.empty_like(gathered)
        whole[self._order] = gathered
        return whole


class SkinnyProduct:
    """Products ``A X`` and ``A.H Y`` of A scaled to a largest element of about one.

    Collective to make.

    Parameters
    ----------
    a : DistMatrix, m x n
        Finite. Not copied, unless the largest block is more than `MAX_IMBALANCE` times
        an equal share: then A is distributed by rows.

    Attributes
    ----------
    rows, cols : Parts
        Rows of ``A X`` and of ``A.H Y``: those of a process row or column, in equal
        parts.
    local : ndarray
        The local block of A.
    exponent : int
        The products are those of ``2**-exponent A``.

    Notes
    -----
    X and Y are replicated. A product with b columns costs ``2 m n b / P`` flops; on a
    grid of q columns, ``q - 1`` exchanges add the terms of each process row, in order:
    ``m b / P (q - 1)`` elements.
    """

    def __init__(self, a: DistMatrix) -> None:
        comm = a.comm
        shapes = [a.layout.local_shape(rank) for rank in range(comm.size)]
        largest = max(math.prod(shape) for shape in shapes)
        if largest * comm.size > MAX_IMBALANCE * max(a.size, comm.size):
            a = a._redistributed(Layout.blocks(a.shape, (comm.size, 1)))
        self.local, self._grid = a.local, grid_of(comm, a.layout)
        self._own_rows, self._own_cols = map(_part, (a.row_indices, a.col_indices))
        self.rows, self.cols = _parts(comm, a.layout), _parts(comm, a.layout.T)
        numbers = self.local.view(self.local.real.dtype)
        size = np.array(max(numbers.max(initial=0), -numbers.min(initial=0)), float)
        comm.Allreduce(MPI.IN_PLACE, size, op=MPI.MAX)
        self.exponent = math.frexp(float(size))[1]

    def times(self, x: Array) -> Array:
        """Return this rank's rows of ``A X``. Collective."""
        terms = self._scaled(self.local, x[self._own_cols])
        return self._summed(self._grid.row, terms)

    def adjoint_times(self, y: Array) -> Array:
        """Return this rank's rows of ``A.H Y``. Collective."""
        terms = self._scaled(self.local.T, y[self._own_rows].conj()).conj()
        return self._summed(self._grid.col, terms)

    def _scaled(self, a: Array, x: Array) -> Array:
        """Return ``2**-exponent a x``, without overflow or underflow. Local."""
        half = self.exponent // 2  # of two factors, as one could be out of range
        product: Array = a @ (x * x.real.dtype.type(2.0**-half))
        product *= x.real.dtype.type(2.0 ** (half - self.exponent))
        return product

    def _summed(self, comm: MPI.Intracomm, terms: Array) -> Array:
        """Return this rank's part of the sums over a row or column. Collective."""
        if self._grid.coords is None:
            return terms
        return reduce_scatter(comm, terms, Axis.contiguous(len(terms), comm.size))


def _part(indices: Indices) -> slice | Indices:
    """Return the indices as a slice if they are contiguous. Local."""
    if not indices.size:
        return slice(0, 0)
    first, last = int(indices[0]), int(indices[-1])
    is_contiguous = last - first + 1 == indices.size
    return slice(first, last + 1) if is_contiguous else indices


def _parts(comm: MPI.Intracomm, layout: Layout) -> Parts:
    """Return the rows of each rank: equal parts of those of its process row. Local."""
    parts = []
    for rank in range(comm.size):
        coords = layout.coords(rank)
        indices = np.empty(0, np.int64)
        if coords is not None:
            indices = layout.rows.indices(coords[0])
            span = Axis.contiguous(indices.size, layout.cols.procs).span(coords[1])
            indices = indices[span.start : span.stop]
        parts.append(indices)
    return Parts(comm, parts)
