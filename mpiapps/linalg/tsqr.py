"""QR and SVD of tall-and-skinny matrices (TSQR)."""

from __future__ import annotations

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.collectives import allgather
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.layout import Layout


def qr(a: DistMatrix) -> tuple[DistMatrix, Array]:
    """Return Q and R with ``A = Q R`` and a nonnegative diagonal of R. Collective.

    Q is distributed by rows, R is on every rank, and unique for A of full rank. Raises
    `ValueError` on all ranks if A, m x n, has ``m < n`` or is not finite.

    Notes
    -----
    TSQR in one round (Demmel, Grigori, Hoemmen, Langou: Communication-optimal parallel
    and sequential QR, SISC 34 (2012)): as stable as Householder QR. Cost: one
    all-gather of n^2 elements from each rank, into workspace of that size.
    """
    m, n = a.shape
    if m < n:
        raise ValueError(
            f"the matrix is {m} x {n}; expected at least as many rows as columns"
        )
    rows = a.redistribute(Layout.blocks(a.shape, (a.comm.size, 1)))
    with raise_together(a.comm) as same:
        same("qr", a)
        refuse_masks("qr", a.dtype)
        if not np.isfinite(rows.local).all():
            raise ValueError(
                "the matrix holds a NaN or an infinity; all elements must be finite"
            )
        local_q, local_r = np.linalg.qr(rows.local)
    all_r = allgather(a.comm, np.ascontiguousarray(local_r))
    sizes = a.comm.allgather(local_r.shape[0])
    inner, r = np.linalg.qr(all_r)
    signs = np.where(np.diagonal(r).real < 0, -1, 1).astype(r.dtype)
    start = sum(sizes[: a.comm.rank])
    local = local_q @ (inner[start : start + local_r.shape[0]] * signs)
    return DistMatrix(a.comm, rows.layout, local, agreed=True), r * signs[:, None]


def svd(a: DistMatrix) -> tuple[DistMatrix, Array, Array]:
    """Return U, s and V.H with ``A = U diag(s) V.H``. Collective.

    As `numpy.linalg.svd` with ``full_matrices=False``; U is distributed by rows, s and
    V.H are on every rank. ``m >= n``; cost and errors as `qr`.
    """
    m, n = a.shape
    if m < n:
        raise ValueError(f"the matrix is {m} x {n}; use svd(A.T), and swap U and V")
    q, r = qr(a)
    u, s, vh = np.linalg.svd(r)
    return DistMatrix(a.comm, q.layout, q.local @ u, agreed=True), s, vh


def singular_values(a: DistMatrix) -> Array:
    """Return A's singular values, largest first, on every rank. Collective."""
    tall = a if a.shape[0] >= a.shape[1] else a.H
    return np.linalg.svd(qr(tall)[1], compute_uv=False)
