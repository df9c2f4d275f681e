"""QR: by TSQR, on each rank, or in panels of reflections."""

from __future__ import annotations

import numpy as np

from mpiapps.comm.block_plan import BlockPlan
from mpiapps.comm.chunking import Array
from mpiapps.comm.collectives import allgather
from mpiapps.comm.consistency import raise_together
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.factorization import check_finite
from mpiapps.linalg.householder_qr import householder_qr, triangularise
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.linalg.one_rank import SELF
from mpiapps.linalg.qr_choice import PANELS, WHOLE, choose_qr, qr_block

# Elements of an array whose QR takes NumPy less time than the calls of panels.
SMALL = 2**16


@of_matrix
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
    layout, most = rows.layout, rows.shape[0 if whole else 1]
    counts = [min(layout.local_shape(i)[0], most) for i in range(rows.comm.size)]
    plan = BlockPlan(rows.comm, counts, local_r.shape[1:], local_r.dtype)
    inner, r = _local_qr(plan.allgather(local_r))
    start = sum(counts[: rows.comm.rank])
    local = inner[start : start + len(local_r)]
    local = local.copy() if local_q is None else local_q @ local
    return DistMatrix(rows.comm, rows.layout, local, agreed=True), r


@of_matrix
def r_of_qr(a: DistMatrix) -> Array:
    """Return an R of ``A = Q R``, on every rank. Collective.

    By TSQR, without Q: less than half of its flops. Rows of R may have other signs.
    """
    _check("r_of_qr", a)
    rows = a._redistributed(Layout.blocks(a.shape, (a.comm.size, 1)))
    return r_of_rows(a.comm, rows.local)


def r_of_rows(comm: MPI.Intracomm, rows: Array) -> Array:
    """Return an R of a matrix of which each rank has rows, on every rank. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm
    rows : ndarray, m_local x n
        Finite, of one floating dtype on all ranks; the ranks have at least n rows.

    Returns
    -------
    ndarray, n x n
        As of `r_of_qr`. Cost: one all-gather of up to n^2 elements from each rank.
    """
    with raise_together(comm):
        local_r = _local_r(rows)
    return local_r if comm.size == 1 else _local_r(allgather(comm, local_r))


def _local_qr(x: Array) -> tuple[Array, Array]:
    """Return Q and R of one rank's array, m x n. Local.

    Of a large one in half of the time of `numpy.linalg.qr`, which computes on columns
    of the array.
    """
    if x.size <= SMALL:
        return np.linalg.qr(x)
    m, n = x.shape
    if m < n:  # few rows on this rank
        q, r = _local_qr(x[:, :m])
        return q, np.concatenate([r, q.conj().T @ x[:, m:]], axis=1)
    whole, r = householder_qr(_alone(x), qr_block(n, 1))
    return whole.local, r


def _local_r(x: Array) -> Array:
    if x.size <= SMALL:
        return np.asarray(np.linalg.qr(x, mode="r"))
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
