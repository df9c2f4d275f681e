"""QR by Householder reflections in panels; columns are distributed."""

from __future__ import annotations

from functools import partial

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.kernels.blas import add_product
from mpiapps.kernels.lapack import Geqrf, geqrf
from mpiapps.kernels.transpose import transposed
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.block_messages import start_bcast
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.factorization import (
    Blocks,
    Panel,
    TrailingUpdate,
    factorise_panels,
)
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.reflectors import Reflectors, triangular_factor


def householder_qr(a: DistMatrix, block: int) -> tuple[DistMatrix, Array]:
    """Return Q and R with ``A = Q R``. Collective.

    Parameters
    ----------
    a : DistMatrix, m x n, m >= n
        Finite.
    block : int
        Panel width.

    Returns
    -------
    q : DistMatrix, m x n, in `column_layout`
    r : ndarray, n x n, on every rank, with the same bits
        Elements of its diagonal may be negative.

    Notes
    -----
    Cost: as `triangularise`, and ``m n - n^2/2`` elements for Q.
    """
    r, reflections, q = triangularise(a, block)
    columns, axis = q.local, q.layout.cols
    columns[...] = 0
    columns[q.col_indices, np.arange(columns.shape[1])] = 1
    # Columns of the identity before a panel's first row are zero from that row on.
    reflections.apply(columns, lambda start: axis.count_below(start, a.comm.rank))
    return q, r


def triangularise(a: DistMatrix, block: int) -> tuple[Array, Reflectors, DistMatrix]:
    """Return R, the reflections whose product has Q's columns, and workspace for Q.

    Collective; parameters and R as of `householder_qr`.

    Notes
    -----
    Blocked with look-ahead (Schreiber, Van Loan, SISC 10 (1989); ScaLAPACK's pdgeqrf on
    one process row): the owner of a panel factorises it by geqrf and broadcasts its
    reflections; each rank updates its own columns. Each rank receives ``m n - n^2/2``
    elements, and R.
    """
    matrix = a._redistributed(column_layout(a.shape, a.comm.size, block))
    parts, reflections = Blocks(matrix), Reflectors(a.comm, a.dtype)
    start = partial(_QRPanel, parts, geqrf(a.dtype))

    def finish(panel: Panel, arrived: _QRPanel) -> TrailingUpdate:
        arrived.wait()
        reflections.add(panel.k.start, arrived.vectors, arrived.factor)
        return arrived.update

    factorise_panels(parts, 0, start, finish)
    return _upper_triangle(matrix).to_all(), reflections, matrix


def column_layout(shape: tuple[int, int], size: int, block: int) -> Layout:
    """Return the layout of complete columns, in blocks of `block`, cyclic. Local."""
    m, n = shape
    return Layout(Axis(m, max(1, m), 1), Axis(n, block, size), tuple(range(size)))


def _upper_triangle(matrix: DistMatrix) -> DistMatrix:
    """Return the first n rows of n columns, with zeros below the diagonal. Local."""
    n = matrix.shape[1]
    below = np.arange(n)[:, None] > matrix.col_indices
    layout = Layout(Axis(n, max(1, n), 1), matrix.layout.cols, matrix.layout.ranks)
    local = np.where(below, 0, matrix.local[:n])
    return DistMatrix(matrix.comm, layout, local, agreed=True)


class _QRPanel:
    """The reflections of a panel, and their broadcast.

    Attributes
    ----------
    vectors, factor : ndarray
        As one of `Reflectors.panels`, on every rank after `wait`.
    wait : callable
        Completes the broadcast.
    """

    def __init__(self, parts: Blocks, factorise: Geqrf, panel: Panel) -> None:
        """Factorise the panel and start its broadcast. Collective."""
        local, nb = parts.local, len(panel)
        self._rows = local[panel.k.start :]
        packed = np.empty(nb * (nb + len(self._rows)), local.dtype)
        self.factor = packed[: nb * nb].reshape(nb, nb)
        self.vectors = packed[nb * nb :].reshape(nb, -1)
        if parts.j == panel.col:
            column = parts.column(panel)
            factors, tau = factorise(transposed(column).T)
            column[:nb] = factors[:nb]
            self.vectors[...] = factors.T
            self.vectors[:, :nb] = np.triu(factors.T[:, :nb], 1) + np.eye(nb)
            self.factor[...] = triangular_factor(self.vectors, tau)
        self.wait = start_bcast(parts.matrix.comm, packed, panel.col)

    def update(self, left: int, right: int) -> None:
        """Multiply columns `left` to `right` of the trailing matrix by Q.H. Local."""
        part = self._rows[:, left:right]
        inner = self.factor.conj().T @ (self.vectors.conj() @ part)
        add_product(part, self.vectors, inner, -1, op_a="T")
