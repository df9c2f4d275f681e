"""QR of tall-and-skinny matrices (TSQR)."""

from __future__ import annotations

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.collectives import allgather
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.factorization import check_finite
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
    rows = _rows("qr", a)
    with raise_together(a.comm):
        local_q, local_r = np.linalg.qr(rows.local)
    all_r = allgather(a.comm, np.ascontiguousarray(local_r))
    sizes = a.comm.allgather(local_r.shape[0])
    inner, r = np.linalg.qr(all_r)
    signs = np.where(np.diagonal(r).real < 0, -1, 1).astype(r.dtype)
    start = sum(sizes[: a.comm.rank])
    local = local_q @ (inner[start : start + local_r.shape[0]] * signs)
    return DistMatrix(a.comm, rows.layout, local, agreed=True), r * signs[:, None]


def r_of_qr(a: DistMatrix) -> Array:
    """Return an R of ``A = Q R``, on every rank. Collective.

    As `qr`, without Q: less than half of the flops. Rows of R may have other signs.
    """
    rows = _rows("r_of_qr", a)
    with raise_together(a.comm):
        local_r = _r_of_qr(rows.local)
    if a.comm.size == 1:
        return local_r
    return _r_of_qr(allgather(a.comm, local_r))


def _r_of_qr(a: Array) -> Array:
    return np.ascontiguousarray(np.linalg.qr(a, mode="r"))


def _rows(call: str, a: DistMatrix) -> DistMatrix:
    """Return A distributed by rows, if it has a QR factorisation. Collective."""
    m, n = a.shape
    with raise_together(a.comm) as same:
        same(call, a)
        refuse_masks(call, a.dtype)
        if m < n:
            raise ValueError(
                f"the matrix is {m} x {n}; expected at least as many rows as columns"
            )
        check_finite(a)
    return a._redistributed(Layout.blocks(a.shape, (a.comm.size, 1)))
