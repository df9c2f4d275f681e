"""Linear systems, inverses and condition numbers from factorisations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.device.arrays import array_module, like
from mpiapps.linalg import cholesky, lu
from mpiapps.linalg.distmatrix import DistMatrix, accept_arrays
from mpiapps.linalg.factorization import (
    PanelCallback,
    PartialFactorization,
    on_one_rank,
)
from mpiapps.linalg.lapack_solve import (
    ArraySolver,
    check_kind,
    inverse_array,
    lu_solvers,
    solve_arrays,
)
from mpiapps.linalg.lu import LU
from mpiapps.linalg.matvec import matvec
from mpiapps.linalg.one_rank import on_rank_0, scattered
from mpiapps.linalg.reductions import norm
from mpiapps.linalg.residual import refine
from mpiapps.linalg.trsm import solve_triangular

# Growth factor of LU divided by n; only contrived matrices exceed it, with tournaments
# (`lu_panel.MAX_MULTIPLIER`) as with partial pivoting.
MAX_PIVOT_GROWTH = 8
Factors = LU | DistMatrix
KINDS: dict[str, tuple[Callable[..., Factors], Callable[..., Factors]]] = {
    "general": (lu.lu, lu.resume),
    "positive": (cholesky.cholesky, cholesky.resume),
}


def factorise(
    a: DistMatrix,
    kind: str = "general",
    *,
    on_panel: PanelCallback | None = None,
    partial: PartialFactorization | None = None,
) -> Factors:
    """Return the factors for `solve` and `inverse`. Collective.

    Parameters
    ----------
    a : DistMatrix, n x n
    kind : {"general", "positive"}
        LU (`lu.lu`), or Cholesky for a Hermitian positive definite A.
    on_panel : callable, optional
        See `factorization.PanelCallback`.
    partial : PartialFactorization, optional
        Factorisation to resume; of A, only whether it is on devices is then used.
    """
    check_kind(kind)
    begin, resume = KINDS[kind]
    if partial is not None:
        if a.is_on_device:
            partial = replace(partial, matrix=partial.matrix.to_device())
        return resume(partial, on_panel)
    return begin(a, on_panel=on_panel)


@accept_arrays
def solve(
    a: DistMatrix,
    b: DistMatrix,
    *,
    kind: str = "general",
    refinements: int = 3,
    factors: Factors | None = None,
) -> DistMatrix:
    """Return X with ``A X = B``. Collective.

    Parameters
    ----------
    a : DistMatrix, n x n
    b : DistMatrix, n x r, or an array that is the same on all ranks
        The solution for a vector is a vector on every rank.
    kind : {"general", "positive"}
        See `factorise`.
    refinements : int
        Maximum number of steps of iterative refinement in working precision; one step
        makes LU with partial pivoting rowwise backward stable (Higham: Accuracy and
        Stability of Numerical Algorithms, 12.1).
    factors : LU or DistMatrix, optional
        Result of `factorise` for A; `kind` is then ignored.

    Raises
    ------
    numpy.linalg.LinAlgError
        On all ranks, if A is singular, or not positive definite.
    ValueError
        On all ranks, if shapes do not match or A is not finite.

    Notes
    -----
    A column is refined while each step halves its backward error (`residual`); a step
    that does not is discarded, so no backward error ever grows. An error
    estimate costs two products with X and a copy of A. Rank 0 solves small systems,
    by `factorization.on_one_rank`: one gather of A and B, and one scatter of X.
    """
    if a.shape[0] != b.shape[0]:
        raise ValueError(
            f"cannot solve {a.shape[0]} x {a.shape[1]} for {b.shape[0]} rows; expected"
            f" {a.shape[0]}"
        )
    if factors is None:
        if _is_small(a, b.shape[1]) and not a.is_on_device:
            x = on_rank_0(solve_arrays, a, b, kind=kind, refinements=refinements)
            return scattered(a.comm, x, b.layout, np.result_type(a.dtype, b.dtype))
        factors = factorise(a, kind)
    apply = _solver(factors)
    x = apply(b)
    if refinements < 1:
        return x
    # Cholesky reads only the lower triangle of A.
    full = a if isinstance(factors, LU) else hermitian(a)
    return refine(full, x, b, apply, refinements)


def _is_small(a: DistMatrix, columns: int) -> bool:
    """Return whether rank 0 shall solve for so many right sides. Local."""
    n = a.shape[0]
    return on_one_rank(a, 2 * n * n * (n / 3 + columns), columns)


def hermitian(a: DistMatrix) -> DistMatrix:
    """Return the Hermitian matrix with the lower triangle of A. Collective."""
    module = array_module(a.local)
    i, j = like(a.local, a.row_indices)[:, None], like(a.local, a.col_indices)[None, :]
    half = a.map(lambda x: module.where(i > j, x, module.where(i == j, x.real / 2, 0)))
    return half + half.H


def _lu_solver(
    lu_factors: LU, *, adjoint: bool = False
) -> Callable[[DistMatrix], DistMatrix]:
    """Return the function that solves with A, or with A.H if `adjoint`."""
    factors, rows = lu_factors.factors, lu_factors.rows

    def apply(b: DistMatrix) -> DistMatrix:
        y = solve_triangular(factors, take_rows(b, rows), unit=True)
        return solve_triangular(factors, y, lower=False)

    def apply_adjoint(b: DistMatrix) -> DistMatrix:
        y = solve_triangular(factors, b, lower=False, op="H")
        x = solve_triangular(factors, y, unit=True, op="H")
        return take_rows(x, np.argsort(rows))

    return apply_adjoint if adjoint else apply


def _solver(factors: Factors) -> Callable[[DistMatrix], DistMatrix]:
    """Return the function that solves with A from its factors."""
    if isinstance(factors, LU):
        return _lu_solver(factors)

    def apply(b: DistMatrix) -> DistMatrix:
        return solve_triangular(factors, solve_triangular(factors, b), op="H")

    return apply


def take_rows(a: DistMatrix, rows: Array) -> DistMatrix:
    """Return ``A[rows]`` for a permutation of A's rows. Collective.

    Cost: two redistributions of A.
    """
    from mpiapps.linalg.layout import Layout

    whole = a.redistribute(Layout.blocks(a.shape, (1, a.comm.size)))
    local = whole.local
    if local.size:
        local = local[like(local, rows)]
    return DistMatrix(a.comm, whole.layout, local).redistribute(a.layout)


def inverse(
    a: DistMatrix, *, kind: str = "general", factors: Factors | None = None
) -> DistMatrix:
    """Return the inverse of A, in its layout. Collective; as `solve`.

    To multiply by the inverse, `solve` is faster and more accurate.
    """
    if factors is None:
        if _is_small(a, a.shape[0]):
            result = on_rank_0(inverse_array, a, kind=kind)
            return scattered(a.comm, result, a.layout, a.dtype)
        factors = factorise(a, kind)
    eye = DistMatrix.eye(a.comm, a.shape[0], a.dtype)
    result = solve(a, eye, refinements=0, factors=factors).redistribute(a.layout)
    return result if isinstance(factors, LU) else (result + result.H) * 0.5


def condition(a: DistMatrix, steps: int = 5) -> float:
    """Return a lower estimate of the 1-norm condition number of A. Collective.

    Hager's and Higham's estimator of the inverse's norm (Higham: FORTRAN codes for
    estimating the one-norm, ACM TOMS 14 (1988), algorithm 2.4): rarely more than a
    third too low, at two solves per step. Infinity for a singular matrix, and if
    elements of the inverse overflow. Small matrices as in `solve`.
    """
    n = a.shape[0]
    if a.comm.size > 1 and _is_small(a, 1):
        return float(a.comm.bcast(on_rank_0(condition, a, steps=steps)))
    if n == 0:
        return 0.0
    a = _scale_to_one(a)
    try:
        forward, backward = _inverses(a)
    except np.linalg.LinAlgError:
        return float("inf")
    x = np.full(n, 1 / n, a.dtype)
    estimate, previous = 0.0, -1
    for _ in range(steps):
        y = forward(x)
        size = float(np.abs(y).sum())
        if not np.isfinite(size):
            return float("inf")
        if size <= estimate:
            break
        estimate = size
        signs = np.where(y == 0, 1, y / np.where(y == 0, 1, np.abs(y)))
        z = backward(signs.astype(a.dtype))
        best = int(np.argmax(np.abs(z)))
        if best == previous:
            break
        previous, x = best, np.zeros(n, a.dtype)
        x[best] = 1
    # Higham's additional vector, for matrices that defeat the iteration.
    i = np.arange(n)
    alternating = ((-1.0) ** i * (1 + i / max(1, n - 1))).astype(a.dtype)
    estimate = max(estimate, 2 * float(np.abs(forward(alternating)).sum()) / (3 * n))
    return norm(a, "1") * estimate


def _scale_to_one(a: DistMatrix) -> DistMatrix:
    """Return A scaled by a power of two to a largest element of about one."""
    exponent = -math.frexp(norm(a, "max"))[1]
    half = exponent // 2  # the whole power may overflow
    powers = [a.dtype.type(2.0**power) for power in (half, exponent - half)]
    return a.map(lambda local: local * powers[0] * powers[1])


def _inverses(a: DistMatrix) -> tuple[Callable[[Array], Array], ...]:
    """Return functions that apply the inverses of A and A.H to a vector. Collective.

    The largest element of A is about one. If the pivot growth would ruin the accuracy,
    ``A R`` is factorised instead, with the Householder reflection R of a random vector.
    """
    n, mirror = a.shape[0], np.zeros(a.shape[0], a.dtype)
    growth, forward, backward = _vector_solvers(a)
    if not growth <= MAX_PIVOT_GROWTH * n:
        mirror = np.random.default_rng(0).standard_normal(n).astype(a.dtype)
        mirror /= np.linalg.norm(mirror)
        image = 2 * matvec(a, mirror)[a.row_indices, None]
        mirrored = a.map(lambda local: local - image * mirror[a.col_indices])
        _, forward, backward = _vector_solvers(mirrored)

    def reflected(x: Array) -> Array:
        with np.errstate(invalid="ignore"):  # the caller checks for infinite results
            return np.asarray(x - mirror * (2 * (mirror @ x)))

    return lambda x: reflected(forward(x)), lambda x: backward(reflected(x))


def _vector_solvers(a: DistMatrix) -> tuple[float, ArraySolver, ArraySolver]:
    """Return the largest element of A's LU factors, and solvers for A and A.H.

    The vectors are on all ranks.
    """
    if a.comm.size == 1:
        return lu_solvers(a)
    factors = lu.lu(a)

    def of_vectors(adjoint: bool) -> ArraySolver:
        apply = _lu_solver(factors, adjoint=adjoint)

        def solve_vector(x: Array) -> Array:
            whole = DistMatrix.from_function(
                a.comm, (x.size, 1), lambda i, _: x[i], x.dtype
            )
            return apply(whole).to_all()[:, 0]

        return solve_vector

    return norm(factors.factors, "max"), of_vectors(False), of_vectors(True)
