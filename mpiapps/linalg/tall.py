"""QR and SVD of tall and skinny matrices, whose columns fit one rank."""

from __future__ import annotations

import numpy as np

from mpiapps.comm.agree import agree
from mpiapps.comm.cut import Array
from mpiapps.comm.move import allgather
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout


def qr(a: DistMatrix) -> tuple[DistMatrix, Array]:
    """Return Q and R with ``A = Q R``, R's diagonal not negative. Collective.

    Parameters
    ----------
    a : DistMatrix, m x n
        ``m >= n``; every rank holds P matrices of n x n at once.

    Returns
    -------
    q : DistMatrix, m x n
        Orthonormal columns, by rows over the ranks.
    r : ndarray, n x n
        Upper triangular, on every rank; that of A alone, whatever the grid.

    Raises
    ------
    ValueError
        On all ranks, if A is wider than tall, or not finite.

    Notes
    -----
    TSQR in one round (Demmel, Grigori, Hoemmen, Langou: Communication-optimal parallel
    and sequential QR, SISC 34 (2012)): as stable as Householder's. Cost: one all-gather
    of n^2 elements from each rank.
    """
    m, n = a.shape
    if m < n:
        raise ValueError(f"the matrix is {m} x {n}; it must not be wider than tall")
    rows = a.redistribute(Layout.blocks(a.shape, (a.comm.size, 1)))
    with agree(a.comm) as same:
        same("qr", a)
        if not np.isfinite(rows.local).all():
            raise ValueError("the matrix holds a NaN or an infinity")
        mine, top = np.linalg.qr(rows.local)
    tops = allgather(a.comm, np.ascontiguousarray(top))
    sizes = a.comm.allgather(top.shape[0])
    inner, r = np.linalg.qr(tops)
    signs = np.where(np.diagonal(r).real < 0, -1, 1).astype(r.dtype)
    start = sum(sizes[: a.comm.rank])
    local = mine @ (inner[start : start + top.shape[0]] * signs)
    return DistMatrix(a.comm, rows.layout, local, agreed=True), r * signs[:, None]


def svd(a: DistMatrix) -> tuple[DistMatrix, Array, Array]:
    """Return U, s and V.H with ``A = U diag(s) V.H``. Collective.

    As `numpy.linalg.svd` with ``full_matrices=False``; U is distributed by rows, s and
    V.H are on every rank. A must not be wider than tall; cost and errors as `qr`.
    """
    m, n = a.shape
    if m < n:
        raise ValueError(
            f"the matrix is {m} x {n}; give its transpose, and swap U and V"
        )
    q, r = qr(a)
    u, s, vh = np.linalg.svd(r)
    return DistMatrix(a.comm, q.layout, q.local @ u, agreed=True), s, vh


def singular_values(a: DistMatrix) -> Array:
    """Return A's singular values, largest first, on every rank. Collective."""
    tall = a if a.shape[0] >= a.shape[1] else a.H
    return np.linalg.svd(qr(tall)[1], compute_uv=False)
