"""QR: by TSQR, on each rank, or in panels of reflections."""

from __future__ import annotations

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.collectives import allgather
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.factorization import check_finite
from mpiapps.linalg.householder_qr import householder_qr, triangularise
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.one_rank import SELF
from mpiapps.linalg.qr_choice import PANELS, WHOLE, choose_qr, qr_block


def qr(a: DistMatrix) -> tuple[DistMatrix, Array]:
    """Return Q and R with ``A = Q R`` and a nonnegative diagonal of R. Collective.

    Q is distributed by rows, R is on every rank, and unique for A of full rank. Raises
    on all ranks: `ValueError` if A, m x n, has ``m < n`` or is not finite, `TypeError`
    if it holds a mask or is on devices.

    Notes
    -----
    `qr_choice.choose_qr` decides. Of a tall matrix with few columns, TSQR in one round
    (Demmel, Grigori, Hoemmen, Langou: Communication-optimal parallel and sequential QR,
    SISC 34 (2012)), as stable as Householder QR. Cost: one all-gather of n^2 elements
    from each rank, into workspace of that size. Other small matrices are gathered and
    factorised by all ranks, with 4 m n elements of workspace each, and large ones in
    panels of reflections, with the cost of `householder_qr` and 3 m n / P elements.
    """
    _check("qr", a)
    algorithm = choose_qr(*a.shape, a.comm.size, a.dtype)
    rows = Layout.blocks(a.shape, (a.comm.size, 1))
    if algorithm == PANELS:
        q, r = householder_qr(a, qr_block(a.shape[1], a.comm.size))
    else:
        q, r = _qr_of_rows(a._redistributed(rows), whole=algorithm == WHOLE)
    signs = np.where(np.diagonal(r).real < 0, -1, 1).astype(r.dtype)
    q.local *= signs[q.col_indices]
    return q if q.layout == rows else q._redistributed(rows), r * signs[:, None]


def _qr_of_rows(rows: DistMatrix, *, whole: bool) -> tuple[DistMatrix, Array]:
    """Return Q and R by TSQR, or by QR of the `whole` on each rank. Collective."""
    local_q, local_r = None, rows.local
    with raise_together(rows.comm):
        if not whole:
            local_q, local_r = _local_qr(rows.local)
    all_r = allgather(rows.comm, np.ascontiguousarray(local_r))
    sizes = rows.comm.allgather(local_r.shape[0])
    inner, r = _local_qr(all_r)
    start = sum(sizes[: rows.comm.rank])
    local = inner[start : start + local_r.shape[0]]
    local = local.copy() if local_q is None else local_q @ local
    return DistMatrix(rows.comm, rows.layout, local, agreed=True), r


def r_of_qr(a: DistMatrix) -> Array:
    """Return an R of ``A = Q R``, on every rank. Collective.

    By TSQR, without Q: less than half of its flops. Rows of R may have other signs.
    """
    _check("r_of_qr", a)
    rows = a._redistributed(Layout.blocks(a.shape, (a.comm.size, 1)))
    with raise_together(a.comm):
        local_r = _local_r(rows.local)
    if a.comm.size == 1:
        return local_r
    return _local_r(allgather(a.comm, local_r))


def _local_qr(x: Array) -> tuple[Array, Array]:
    """Return Q and R of one rank's array, m x n. Local.

    In half of the time of `numpy.linalg.qr`, which computes on columns of the array.
    """
    m, n = x.shape
    if m < n:  # few rows on this rank
        q, r = _local_qr(x[:, :m])
        return q, np.concatenate([r, q.conj().T @ x[:, m:]], axis=1)
    whole, r = householder_qr(_alone(x), qr_block(n, 1))
    return whole.local, r


def _local_r(x: Array) -> Array:
    if len(x) < x.shape[1]:
        return _local_qr(x)[1]
    return triangularise(_alone(x), qr_block(x.shape[1], 1))[0]


def _alone(x: Array) -> DistMatrix:
    return DistMatrix(SELF, Layout.on_one(x.shape, 0), np.ascontiguousarray(x))


def _check(call: str, a: DistMatrix) -> None:
    """Raise on all ranks if A has no QR factorisation here. Collective."""
    m, n = a.shape
    with raise_together(a.comm) as same:
        same(call, a)
        refuse_masks(call, a.dtype)
        if a.is_on_device:
            raise TypeError(f"{call} of a matrix on devices; use A.to_host()")
        if m < n:
            raise ValueError(
                f"the matrix is {m} x {n}; expected at least as many rows as columns"
            )
        check_finite(a)
