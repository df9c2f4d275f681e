"""Systems of equations, inverses and condition numbers from the factors."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mpiapps.comm.cut import Array
from mpiapps.linalg import cholesky, lu
from mpiapps.linalg.distmatrix import DistMatrix, takes_arrays
from mpiapps.linalg.lu import LU
from mpiapps.linalg.reduce import matvec, norm
from mpiapps.linalg.residual import residual
from mpiapps.linalg.substitute import solve_triangular
from mpiapps.linalg.triangles import At, Halfway

GROWTH = (
    8  # of elements in LU, by the order: above what all but contrived matrices have
)
ENOUGH = 4  # roundings: the residual is not known better than to a few
Factors = LU | DistMatrix
KINDS: dict[str, tuple[Callable[..., Factors], Callable[..., Factors]]] = {
    "general": (lu.lu, lu.go_on),
    "positive": (cholesky.cholesky, cholesky.go_on),
}


def factorise(
    a: DistMatrix,
    kind: str = "general",
    *,
    at: At | None = None,
    since: Halfway | None = None,
) -> Factors:
    """Return the factors that `solve` and `inverse` work with. Collective.

    Parameters
    ----------
    a : DistMatrix, n x n
    kind : {"general", "positive"}
        LU with partial pivoting, or Cholesky for a Hermitian positive definite A.
    at : callable, optional
        Called on all ranks between two block columns, with a `Halfway`; it may save
        it, and may raise.
    since : Halfway, optional
        Where to go on; A is not looked at then.

    Raises
    ------
    numpy.linalg.LinAlgError, ValueError
        As `lu.lu` and `cholesky.cholesky`.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}")
    begin, go_on = KINDS[kind]
    return begin(a, at=at) if since is None else go_on(since, at=at)


@takes_arrays
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
        A vector's solution is a vector, on every rank.
    kind : {"general", "positive"}
        By LU with partial pivoting, or by Cholesky for a Hermitian positive definite A.
    refinements : int
        Steps of iterative refinement in the working precision, at most (Higham:
        Accuracy and Stability of Numerical Algorithms, 12.1): one makes LU with partial
        pivoting backward stable row by row. See the notes.
    factors : LU or DistMatrix, optional
        A's, as `factorise` returned them; `kind` is not looked at then.

    Raises
    ------
    numpy.linalg.LinAlgError
        On all ranks, if A is singular, or not positive definite.
    ValueError
        On all ranks, if shapes do not fit or A is not finite.

    Notes
    -----
    A column is refined while that halves its backward error (`residual`); a step that
    does not is dropped, so that no solution is worse than without. Each look at the
    error costs two products with X, and a copy of A.
    """
    if a.shape[0] != b.shape[0]:
        raise ValueError(
            f"cannot solve {a.shape[0]} x {a.shape[1]} for {b.shape[0]} rows; expected"
            f" {a.shape[0]}"
        )
    factors = factorise(a, kind) if factors is None else factors
    apply = _applied(factors)
    x = apply(b)
    if refinements < 1:
        return x
    # Cholesky's factors are of the lower triangle alone.
    full = a if isinstance(factors, LU) else _hermitian(a)
    return _refined(full, x, b, apply, refinements)


def _hermitian(a: DistMatrix) -> DistMatrix:
    """Return the Hermitian matrix that has A's lower triangle. Collective."""
    i, j = a.row_indices[:, None], a.col_indices[None, :]
    half = a.map(
        lambda local: np.where(i > j, local, np.where(i == j, local.real / 2, 0))
    )
    return half + half.H


def _refined(
    a: DistMatrix,
    x: DistMatrix,
    b: DistMatrix,
    apply: Callable[[DistMatrix], DistMatrix],
    most: int,
) -> DistMatrix:
    """Return X after `most` steps of refinement at most. Collective.

    As in LAPACK's gerfs, a column gets another step while its backward error is above
    the rounding error and was halved; unlike there, a step that did not halve it is
    dropped.
    """
    least = ENOUGH * float(np.finfo(x.dtype).eps)
    rest, errors = residual(a, x, b)
    active = errors > least
    for _ in range(most):
        if not active.any():
            break
        rest.local[:, ~active[rest.col_indices]] = 0
        with np.errstate(all="ignore"):
            tried = x + apply(rest).redistribute(x.layout)
        rest, later = residual(a, tried, b)
        halved = np.isfinite(later) & (later <= errors / 2)
        kept = halved[x.col_indices]
        x.local[:, kept] = tried.local[:, kept]
        active = halved & (later > least)
        errors = np.where(halved, later, errors)
    return x


def _by_lu(found: LU, *, turned: bool = False) -> Callable[[DistMatrix], DistMatrix]:
    """Return what solves with A, or with A.H, from A's factors."""
    factors, rows = found.factors, found.rows

    def apply(b: DistMatrix) -> DistMatrix:
        y = solve_triangular(factors, take_rows(b, rows), unit=True)
        return solve_triangular(factors, y, lower=False)

    def apply_turned(b: DistMatrix) -> DistMatrix:
        y = solve_triangular(factors, b, lower=False, op="H")
        x = solve_triangular(factors, y, unit=True, op="H")
        return take_rows(x, np.argsort(rows))

    return apply_turned if turned else apply


def _applied(factors: Factors) -> Callable[[DistMatrix], DistMatrix]:
    """Return what solves with A, from A's factors."""
    if isinstance(factors, LU):
        return _by_lu(factors)

    def apply(b: DistMatrix) -> DistMatrix:
        return solve_triangular(factors, solve_triangular(factors, b), op="H")

    return apply


def take_rows(a: DistMatrix, rows: Array) -> DistMatrix:
    """Return ``A[rows]`` for a permutation of A's rows. Collective.

    Cost: A is brought to whole columns on each rank, and back.
    """
    from mpiapps.linalg.layout import Layout

    whole = a.redistribute(Layout.blocks(a.shape, (1, a.comm.size)))
    local = whole.local[rows] if whole.local.size else whole.local
    return DistMatrix(a.comm, whole.layout, local).redistribute(a.layout)


def inverse(
    a: DistMatrix, *, kind: str = "general", factors: Factors | None = None
) -> DistMatrix:
    """Return the inverse of A, in its layout. Collective; as `solve`.

    To multiply by it, `solve` is faster and more accurate.
    """
    factors = factorise(a, kind) if factors is None else factors
    eye = DistMatrix.eye(a.comm, a.shape[0], a.dtype)
    found = solve(a, eye, refinements=0, factors=factors).redistribute(a.layout)
    return found if isinstance(factors, LU) else (found + found.H) * 0.5


def condition(a: DistMatrix, steps: int = 5) -> float:
    """Return an estimate from below of A's condition number in the 1-norm. Collective.

    Hager's and Higham's estimator of the inverse's norm (Higham: FORTRAN codes for
    estimating the one-norm, ACM TOMS 14 (1988), algorithm 2.4): seldom a third too low,
    at two solves a step. Infinity for a singular matrix, and where the inverse has
    elements above the largest number of the dtype.
    """
    n = a.shape[0]
    if n == 0:
        return 0.0
    a = _scaled(a)
    try:
        forward, backward = _inverses(a)
    except np.linalg.LinAlgError:
        return float("inf")
    x = np.full(n, 1 / n, a.dtype)
    estimate, seen = 0.0, -1
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
        if best == seen:
            break
        seen, x = best, np.zeros(n, a.dtype)
        x[best] = 1
    # One vector that the steps above may miss.
    i = np.arange(n)
    odd = ((-1.0) ** i * (1 + i / max(1, n - 1))).astype(a.dtype)
    estimate = max(estimate, 2 * float(np.abs(forward(odd)).sum()) / (3 * n))
    return norm(a, "1") * estimate


def _scaled(a: DistMatrix) -> DistMatrix:
    """Return A times the power of two that makes its largest element about one."""
    exponent = -math.frexp(norm(a, "max"))[1]
    half = exponent // 2  # the whole power may be above the largest number
    powers = [a.dtype.type(2.0**each) for each in (half, exponent - half)]
    return a.map(lambda local: local * powers[0] * powers[1])


def _inverses(a: DistMatrix) -> tuple[Callable[[Array], Array], ...]:
    """Return what multiplies a vector by A's inverse, and by that of A.H. Collective.

    A's largest element is about one. Where pivots let elements grow so far that
    solutions lose their digits, ``A R`` is factorised for the reflection R by a random
    vector, whose pivots do not.
    """
    n, mirror = a.shape[0], np.zeros(a.shape[0], a.dtype)
    found = lu.lu(a)
    if not norm(found.factors, "max") <= GROWTH * n:
        mirror = np.random.default_rng(0).standard_normal(n).astype(a.dtype)
        mirror /= np.linalg.norm(mirror)
        image = 2 * matvec(a, mirror)[a.row_indices, None]
        found = lu.lu(a.map(lambda local: local - image * mirror[a.col_indices]))

    def through(apply: Callable[[DistMatrix], DistMatrix], x: Array) -> Array:
        whole = DistMatrix.from_function(a.comm, (n, 1), lambda i, _: x[i], x.dtype)
        return apply(whole).to_all()[:, 0]

    def reflected(x: Array) -> Array:
        return np.asarray(x - mirror * (2 * (mirror @ x)))

    forward, backward = _by_lu(found), _by_lu(found, turned=True)
    return (
        lambda x: reflected(through(forward, x)),
        lambda x: through(backward, reflected(x)),
    )
