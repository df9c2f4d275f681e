"""Least squares: the solution of smallest norm, also of rank-deficient systems."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.launch.mpi import MPI
from mpiapps.linalg import svd
from mpiapps.linalg.block_messages import bcast_in
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.factorization import check_finite
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matrix_operands import as_matrix, of_matrix
from mpiapps.linalg.multiply import multiply
from mpiapps.linalg.reductions import col_sums
from mpiapps.linalg.scaling import scale_by_power, scale_to_one
from mpiapps.linalg.tsqr import qr, r_of_rows


class LstsqResult(NamedTuple):
    """The result of `lstsq`, in NumPy's order.

    Attributes
    ----------
    x : DistMatrix, n x r, or ndarray, length n, on every rank
        The solution.
    residuals : ndarray, length r or 0, on every rank
        The squared norms of the columns of ``B - A X``; empty unless A has full column
        rank and ``m > n``.
    rank : int
    s : ndarray, length min(m, n), on every rank
        A's singular values, largest first.
    """

    x: Any
    residuals: Array
    rank: int
    s: Array


@of_matrix
def lstsq(
    a: DistMatrix, b: DistMatrix | npt.ArrayLike, rcond: float | None = None
) -> LstsqResult:
    """Return the X of smallest norm that minimises ``|B - A X|``. Collective.

    Parameters
    ----------
    a : DistMatrix, m x n
    b : DistMatrix, m x r, or an array that is the same on all ranks
        The solution for a vector is a vector on every rank.
    rcond : float, optional
        Singular values up to ``rcond`` times the largest are taken as zero. Default:
        ``eps max(m, n)`` with the eps of the dtype (NumPy takes that of float64 for
        float32, too). A negative number stands for eps, as in NumPy.

    Raises
    ------
    TypeError, ValueError
        On all ranks, if A or B is a mask, shapes do not match, or A or B is not finite.

    Notes
    -----
    By QR of A (of A.H if it is wide), and the SVD of R on every rank: backward stable,
    with the same rank as by an SVD of A. A and B are scaled by powers of two, as in
    LAPACK's gelsd. Cost: that of `tsqr.qr`, and two products. Of a tall A with few
    right sides, that of the R of A and B side by side, by `tsqr.r_of_rows`: its last
    columns are ``Q.H B``, and Q is not needed (Golub, Van Loan: Matrix Computations,
    section 5.3).
    """
    m, n = a.shape
    b, is_vector = as_matrix(a, b)
    dtype = np.result_type(a.dtype, b.dtype)
    with raise_together(a.comm) as same:
        same("lstsq", a, b, rcond)
        a.check_comm(b)
        refuse_masks("lstsq", a.dtype, b.dtype)
        if b.shape[0] != m:
            raise ValueError(
                f"cannot solve {m} x {n} for {b.shape[0]} rows; expected {m}"
            )
        if a.is_on_device:
            raise TypeError("lstsq of a matrix on devices; use A.to_host()")
        check_finite(a)
        check_finite(b)
    a, b = a.astype(dtype), b.astype(dtype)
    exponent, exponent_b = (scale_to_one(c.comm, c.local) for c in (a, b))
    eps = float(np.finfo(dtype).eps)
    rcond = eps * max(m, n) if rcond is None else rcond
    rcond = eps if rcond < 0 else rcond
    algorithm = _by_triangle if is_tall((m, n), b.shape[1], a.comm.size) else _by_q
    x, residuals, rank, s = algorithm(a, b, rcond)
    scale_by_power(x.local, exponent_b - exponent)
    scale_by_power(residuals, 2 * exponent_b)
    scale_by_power(s, exponent)
    return LstsqResult(x.to_all()[:, 0] if is_vector else x, residuals, rank, s)


def is_tall(shape: tuple[int, int], columns: int, size: int) -> bool:
    """Return whether A and `columns` right sides are factorised side by side. Local."""
    m, n = shape
    return 2 * columns <= n and svd.is_tall(m, n + columns, size)


def _by_triangle(a: DistMatrix, b: DistMatrix, rcond: float) -> LstsqResult:
    """Return X by the R of A and B side by side. Collective."""
    (m, n), columns = a.shape, b.shape[1]
    rows = Layout.blocks((m, n), (a.comm.size, 1))
    sides = Layout.blocks((m, columns), (a.comm.size, 1))
    parts = a._redistributed(rows).local, b._redistributed(sides).local
    r = r_of_rows(a.comm, np.concatenate(parts, axis=1))
    inverse, rank, s = _pseudo_inverse(a.comm, r[:n, :n], rcond)
    x, rest = inverse @ r[:n, n:], r[n:, n:]
    residuals = (rest * rest.conj()).real.sum(axis=0) if rank == n else s[:0].copy()
    for values in (x, residuals):  # one rank's bits on all ranks
        bcast_in(a.comm, values, 0)
    return LstsqResult(DistMatrix.from_all(a.comm, x), residuals, rank, s)


def _by_q(a: DistMatrix, b: DistMatrix, rcond: float) -> LstsqResult:
    """Return X by Q and R of A, or of A.H. Collective."""
    (m, n), wide = a.shape, a.shape[0] < a.shape[1]
    q, r = qr(a.H if wide else a)
    factor, rank, s = _pseudo_inverse(a.comm, r.conj().T if wide else r, rcond)
    # One rank's bits on all ranks.
    inverse = DistMatrix.from_all(a.comm, bcast_in(a.comm, factor, 0))
    if wide:
        x = multiply(q, multiply(inverse, b))
    else:
        x = multiply(inverse, multiply(q.H, b))
    residuals = np.empty(0, s.dtype)
    if rank == n < m:
        rest = multiply(a, x, b, alpha=-1, beta=1)
        residuals = col_sums(rest.map(lambda local: (local * local.conj()).real))
    return LstsqResult(x, residuals, rank, s)


def _pseudo_inverse(
    comm: MPI.Intracomm, r: Array, rcond: float
) -> tuple[Array, int, Array]:
    """Return the pseudo-inverse of an n x n array, its rank and singular values.

    Collective: the singular values, and so the rank, are those of rank 0; the last bits
    of the pseudo-inverse may differ between ranks.
    """
    u, s, vh = np.linalg.svd(r)
    rank = int((bcast_in(comm, s, 0) > rcond * s.max(initial=0)).sum())
    return vh[:rank].conj().T @ (u[:, :rank].conj().T / s[:rank, None]), rank, s
