"""Singular values and vectors of matrices of any shape."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.kernels.bidiagonal import svd_bidiagonal
from mpiapps.linalg.bidiagonal import bidiagonalise
from mpiapps.linalg.block_messages import bcast_in
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.eigh import scaled_rows
from mpiapps.linalg.factorization import check_finite
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.linalg.multiply import multiply
from mpiapps.linalg.one_rank import scattered
from mpiapps.linalg.redistribute import redistribute
from mpiapps.linalg.reflectors import (
    PartialReduction,
    ReductionCallback,
    Reflectors,
    with_exponent,
)
from mpiapps.linalg.tsqr import qr, r_of_qr

SMALL = 800  # smaller side up to which one rank is faster than several
TALL = 2  # ratio of the sides from which QR before the reduction is faster


class SVDResult(NamedTuple):
    """The result of `svd`, with the names of NumPy; k = min(m, n).

    Attributes
    ----------
    U : DistMatrix, m x k
    S : ndarray, length k, on every rank
        Singular values, largest first.
    Vh : DistMatrix, k x n
    """

    U: DistMatrix
    S: Array
    Vh: DistMatrix


@of_matrix
def svd(a: DistMatrix) -> SVDResult:
    """Return U, s and V.H with ``A = U diag(s) V.H``. Collective.

    As `numpy.linalg.svd` with ``full_matrices=False``.

    Parameters
    ----------
    a : DistMatrix, m x n

    Raises
    ------
    ValueError
        On all ranks, if A holds a NaN or an infinity, or min(m, n) exceeds
        `kernels.bidiagonal.MAX_ORDER`.
    numpy.linalg.LinAlgError
        On all ranks, if LAPACK does not converge.

    Notes
    -----
    Backward stable: the error of a singular value is a small multiple of ``eps |A|``.
    A wide A is transposed; for ``m >= n``:

    1. If ``m >= 2 n`` and each rank has n rows or more, A = Q R by TSQR (`tsqr.qr`),
       and R takes the place of A (Chan, ACM TOMS 8 (1982)).
    2. Up to n = `SMALL`, LAPACK computes on rank 0. Otherwise A is reduced to
       bidiagonal form B by all ranks (`bidiagonalise`), rank 0 computes the SVD of B by
       divide and conquer, and all ranks apply the reflections to their columns.

    Cost of the reduction: ``4 n^2 (m - n/3) / P`` flops, and ``3 m n`` elements
    received in ``2 n`` all-reduces; of the reflections ``4 n^2 m / P`` flops and
    ``m n`` elements. Rank 0 needs ``5 n^2`` elements of memory.
    """
    _check("svd", a)
    m, n = a.shape
    if m < n:
        v, s, uh = _svd_of_tall(a.H)
        return SVDResult(uh.H, s, v.H)
    return _svd_of_tall(a)


@of_matrix
def singular_values(
    a: DistMatrix,
    *,
    on_panel: ReductionCallback | None = None,
    partial: PartialReduction | None = None,
) -> Array:
    """Return A's singular values, largest first, on every rank. Collective.

    As `svd` without the vectors: rank 0 computes the singular values of B in time n^2.
    `on_panel` and `partial` are as for `eigh`, of the reduction to bidiagonal form.
    """
    _check("singular_values", a)
    a = a if a.shape[0] >= a.shape[1] else a.H
    if _is_tall(a):
        a = _on_root(a, r_of_qr(a))
    n, real = a.shape[1], a.local.real.dtype
    values = np.empty(n, real)
    if n <= SMALL:
        whole = a._to_root(0)
        with raise_together(a.comm):
            if whole is not None:
                values = np.linalg.svd(whole, compute_uv=False)
        return bcast_in(a.comm, values, 0)
    a, exponent = scaled_rows(a)
    if partial is not None:  # of A or of R, as on the ranks that saved it
        exponent = partial.exponent
    callback = with_exponent(on_panel, exponent)
    form = bidiagonalise(a, vectors=False, on_panel=callback, partial=partial)
    with raise_together(a.comm):
        if a.comm.rank == 0:
            b = form.diagonal.astype(real), form.off_diagonal.astype(real)
            values = np.ldexp(svd_bidiagonal(*b, vectors=False)[1], exponent)
    return bcast_in(a.comm, values, 0)


def _check(call: str, a: DistMatrix) -> None:
    """Raise if A cannot be decomposed. Collective."""
    with raise_together(a.comm) as same:
        same(call, a)
        refuse_masks(call, a.dtype)
        check_finite(a)


def _is_tall(a: DistMatrix) -> bool:
    return is_tall(*a.shape, a.comm.size)


def is_tall(m: int, n: int, size: int) -> bool:
    """Return whether R takes the place of an m x n matrix on so many ranks. Local."""
    return m >= max(TALL, size) * n


def _on_root(a: DistMatrix, r: Array) -> DistMatrix:
    """Return R, which is on every rank, as a matrix on rank 0. Local."""
    layout = Layout.on_one(r.shape, 0)
    local = r if a.comm.rank == 0 else np.empty((0, 0), r.dtype)
    return DistMatrix(a.comm, layout, local, agreed=True)


def _svd_of_tall(a: DistMatrix) -> SVDResult:
    """Return the SVD of a matrix with ``m >= n``. Collective."""
    if _is_tall(a):
        q, r = qr(a)
        u, s, vh = _svd(_on_root(a, r))
        return SVDResult(multiply(q, u), s, vh)
    return _svd(a)


def _svd(a: DistMatrix) -> SVDResult:
    comm, n, real = a.comm, a.shape[1], a.local.real.dtype
    if n <= SMALL:
        return _svd_on_root(a)
    a, exponent = scaled_rows(a)
    form = bidiagonalise(a)
    ut = vt = np.empty((0, 0), real)
    s = np.empty(n, real)
    with raise_together(comm):
        if comm.rank == 0:
            ut, s, vt = svd_bidiagonal(
                form.diagonal.astype(real), form.off_diagonal.astype(real)
            )
            np.ldexp(s, exponent, out=s)
    u = _reflected(form.left, ut, a.shape)
    v = _reflected(form.right, vt, (n, n))
    return SVDResult(u, bcast_in(comm, s, 0), v.H)


def _reflected(
    reflectors: Reflectors, rows: Array, shape: tuple[int, int]
) -> DistMatrix:
    """Return the columns that are `rows` on rank 0, reflected. Collective."""
    comm, n = reflectors.comm, shape[1]
    one, split = Layout.on_one((n, n), 0), Layout.blocks((n, n), (comm.size, 1))
    part = redistribute(comm, rows, one, split)
    columns = np.zeros((shape[0], len(part)), reflectors.dtype)
    columns[:n] = part.T
    reflectors.apply(columns)
    layout = Layout.blocks(shape, (1, comm.size))
    return DistMatrix(comm, layout, columns, agreed=True)


def _svd_on_root(a: DistMatrix) -> SVDResult:
    """Return the result computed by LAPACK on rank 0. Collective."""
    (m, n), comm = a.shape, a.comm
    whole = a._to_root(0)
    u = vh = None
    s = np.empty(n, a.local.real.dtype)
    with raise_together(comm):
        if whole is not None:
            u, s, vh = np.linalg.svd(whole, full_matrices=False)
    return SVDResult(
        scattered(comm, u, Layout.blocks((m, n), (1, comm.size)), a.dtype),
        bcast_in(comm, s, 0),
        scattered(comm, vh, Layout.blocks((n, n), (comm.size, 1)), a.dtype),
    )
