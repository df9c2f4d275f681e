"""The largest singular values and vectors of a matrix."""

from __future__ import annotations

from operator import index
from typing import Literal, overload

import numpy as np

from mpiapps.base.errors import CheckFailed
from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.eigsh import (
    MAX_RESTARTS,
    basis_size,
    check_limits,
    distributed,
    is_dense,
    random_columns,
)
from mpiapps.linalg.factorization import check_finite
from mpiapps.linalg.golub_kahan import BlockGolubKahan, Wanted, find_triplets
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.linalg.skinny_product import SkinnyProduct
from mpiapps.linalg.svd import SVDResult, singular_values, svd


class SvdsNoConvergence(CheckFailed):
    """Not all singular triplets converged.

    Attributes
    ----------
    U, S, Vh
        Those that converged, as in the result of `svds`.
    """

    def __init__(self, message: str, result: SVDResult) -> None:
        super().__init__(message)
        self.U, self.S, self.Vh = result


@overload
def svds(
    a: DistMatrix,
    k: int = 6,
    *,
    tol: float = 0.0,
    maxiter: int | None = None,
    seed: int = 0,
    return_singular_vectors: Literal[True] = True,
) -> SVDResult: ...
@overload
def svds(
    a: DistMatrix,
    k: int = 6,
    *,
    tol: float = 0.0,
    maxiter: int | None = None,
    seed: int = 0,
    return_singular_vectors: Literal[False],
) -> Array: ...
@of_matrix
def svds(  # noqa: PLR0913 - SciPy's arguments
    a: DistMatrix,
    k: int = 6,
    *,
    tol: float = 0.0,
    maxiter: int | None = None,
    seed: int = 0,
    return_singular_vectors: bool = True,
) -> SVDResult | Array:
    """Return the k largest singular values and their vectors: ``A V = U diag(s)``.

    Collective. As `scipy.sparse.linalg.svds`, with the largest value first.

    Parameters
    ----------
    a : DistMatrix, m x n
        It stays in its layout.
    k : int
        Number of singular values, 0 to min(m, n).
    tol : float
        Largest residual ``|A.H u - v s|`` relative to s. Smaller ones than the rounding
        errors ``sqrt(max(m, n)) eps |A|`` are not waited for.
    maxiter : int, optional
        Number of times that the basis is filled. Default: `eigsh.MAX_RESTARTS`.
    seed : int
        Of the random start, which is the same on any grid.
    return_singular_vectors : bool
        If false, only s is returned.

    Returns
    -------
    SVDResult
        U, m x k, and Vh, k x n, in the default layout; s, largest first, on every rank.

    Raises
    ------
    ValueError
        On all ranks, if A holds a NaN or an infinity, or an argument is invalid.
    SvdsNoConvergence
        On all ranks, after `maxiter`, with the triplets that converged.

    Notes
    -----
    By block Golub-Kahan bidiagonalisation with thick restart (`golub_kahan`), in blocks
    of k + 2 columns and at least 4; ``A.H A`` is not used, so that singular values far
    below the largest have small residuals, too. If the smaller side is at most
    `eigsh.SMALL`, or the basis would be a large part of the space, by `svd`.

    Cost of a step, with b columns in the block and d vectors in the basis: two products
    of ``2 m n b / P`` flops at the speed of memory, ``8 (m + n) d b / P`` flops to
    orthonormalise, and ``(m + n) b + 8 d b`` elements received in about 18 messages;
    rank 0 computes an SVD of order d once per basis.
    """
    (m, n), wanted = a.shape, _checked(a, k, tol, maxiter, seed)
    k = wanted.k
    if is_dense(min(m, n), k):
        return _by_svd(a, k, vectors=return_singular_vectors)
    product = SkinnyProduct(a)
    start = random_columns(n, k, a.dtype, seed)[product.cols.own]
    solver = BlockGolubKahan(a.comm, product, start, basis_size(k))
    maxiter = maxiter or MAX_RESTARTS
    found = find_triplets(solver, wanted, maxiter)
    kept = np.flatnonzero(found.converged)
    values = np.ldexp(found.values[kept], product.exponent).astype(a.local.real.dtype)
    if not return_singular_vectors and len(kept) == k:
        return values
    spare = random_columns(m, k, a.dtype, seed)[product.rows.own]
    left, right = solver.vectors(found, k, spare)
    u, v = (
        distributed(a.comm, part.replicate(np.ascontiguousarray(local[:, kept])))
        for part, local in ((product.rows, left), (product.cols, right))
    )
    result = SVDResult(u, values, v.H)
    if len(kept) < k:
        raise SvdsNoConvergence(
            f"{len(kept)} of {k} singular triplets converged in maxiter={maxiter}"
            f" fillings of the basis, to tol={tol}; increase one of the two, or compute"
            " all singular values with svd. The triplets that converged are in the"
            " attributes U, S and Vh of this error",
            result,
        )
    return result


def _checked(
    a: DistMatrix, k: int, tol: float, maxiter: int | None, seed: int
) -> Wanted:
    """Return what is wanted, or raise. Collective."""
    with raise_together(a.comm) as same:
        same("svds", a, k, tol, maxiter, seed)
        refuse_masks("svds", a.dtype)
        check_finite(a)
        (m, n), k = a.shape, index(k)
        index(seed)
        if not 0 <= k <= min(m, n):
            raise ValueError(
                f"k={k} singular values of a matrix of {m} x {n}; expected 0 to"
                f" {min(m, n)}"
            )
        check_limits(tol, maxiter)
    return Wanted(k, float(tol))


def _by_svd(a: DistMatrix, k: int, *, vectors: bool) -> SVDResult | Array:
    """Return triplets selected from all. Collective."""
    if not vectors:
        return singular_values(a)[:k] if k else np.empty(0, a.local.real.dtype)
    (m, n), size = a.shape, a.comm.size
    shapes = (m, k), (k, n)
    layouts = [Layout.balanced(shape, size) for shape in shapes]
    if k == 0:
        u, vh = (DistMatrix.zeros(a.comm, shape, a.dtype) for shape in shapes)
        return SVDResult(u, np.empty(0, a.local.real.dtype), vh)
    u, s, vh = svd(a)
    parts = (u[:, :k], layouts[0]), (vh[:k], layouts[1])
    u, vh = (part.redistribute(layout) for part, layout in parts)
    return SVDResult(u, s[:k], vh)
