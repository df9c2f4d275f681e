"""Systems of equations, inverses and condition numbers from the factors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mpiapps.comm.cut import Array
from mpiapps.linalg import cholesky, lu
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.lu import LU
from mpiapps.linalg.multiply import multiply
from mpiapps.linalg.reduce import norm
from mpiapps.linalg.substitute import solve_triangular
from mpiapps.linalg.triangles import At, Halfway

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


def solve(
    a: DistMatrix,
    b: DistMatrix,
    *,
    kind: str = "general",
    refinements: int = 1,
    factors: Factors | None = None,
) -> DistMatrix:
    """Return X with ``A X = B``. Collective.

    Parameters
    ----------
    a : DistMatrix, n x n
    b : DistMatrix, n x r
    kind : {"general", "positive"}
        By LU with partial pivoting, or by Cholesky for a Hermitian positive definite A.
    refinements : int
        Steps of iterative refinement in the working precision (Higham: Accuracy and
        Stability of Numerical Algorithms, 12.1): one makes LU with partial pivoting
        backward stable row by row.
    factors : LU or DistMatrix, optional
        A's, as `factorise` returned them; `kind` is not looked at then.

    Raises
    ------
    numpy.linalg.LinAlgError
        On all ranks, if A is singular, or not positive definite.
    ValueError
        On all ranks, if shapes do not fit or A is not finite.
    """
    if a.shape[0] != b.shape[0]:
        raise ValueError(
            f"cannot solve {a.shape[0]} x {a.shape[1]} for {b.shape[0]} rows; expected"
            f" {a.shape[0]}"
        )
    apply = _applied(factorise(a, kind) if factors is None else factors)
    x = apply(b)
    for _ in range(refinements):
        x = x + apply(multiply(a, x, b, alpha=-1, beta=1)).redistribute(x.layout)
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
    at two solves a step. Infinity for a singular matrix.
    """
    n = a.shape[0]
    if n == 0:
        return 0.0
    try:
        found = lu.lu(a)
    except np.linalg.LinAlgError:
        return float("inf")
    forward, backward = _by_lu(found), _by_lu(found, turned=True)

    def through(apply: Callable[[DistMatrix], DistMatrix], x: Array) -> Array:
        whole = DistMatrix.from_function(a.comm, (n, 1), lambda i, _: x[i], x.dtype)
        return apply(whole).to_all()[:, 0]

    x = np.full(n, 1 / n, a.dtype)
    estimate, seen = 0.0, -1
    for _ in range(steps):
        y = through(forward, x)
        size = float(np.abs(y).sum())
        if size <= estimate:
            break
        estimate = size
        signs = np.where(y == 0, 1, y / np.where(y == 0, 1, np.abs(y)))
        z = through(backward, signs.astype(a.dtype))
        best = int(np.argmax(np.abs(z)))
        if best == seen:
            break
        seen, x = best, np.zeros(n, a.dtype)
        x[best] = 1
    # One vector that the steps above may miss.
    i = np.arange(n)
    odd = ((-1.0) ** i * (1 + i / max(1, n - 1))).astype(a.dtype)
    estimate = max(estimate, 2 * float(np.abs(through(forward, odd)).sum()) / (3 * n))
    return norm(a, "1") * estimate
