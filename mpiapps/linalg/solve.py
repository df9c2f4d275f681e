"""Linear systems and inverses from factorisations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mpiapps.comm.consistency import raise_together
from mpiapps.device.arrays import array_module, like
from mpiapps.linalg import cholesky, lu
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.factor_solvers import Factors, matrix_of, put_columns, solver
from mpiapps.linalg.factorization import (
    PanelCallback,
    PartialFactorization,
    on_one_rank,
)
from mpiapps.linalg.lapack_solve import (
    check_kind,
    inverse_array,
    solve_arrays,
)
from mpiapps.linalg.lu import LU
from mpiapps.linalg.matrix_operands import accept_arrays, of_matrix
from mpiapps.linalg.one_rank import on_rank_0, scattered
from mpiapps.linalg.residual import refine
from mpiapps.linalg.trsm import inverse_of_lower, solve_triangular

SOLUTIONS = 2  # of most systems: the first, and one of refinement
KINDS: dict[str, tuple[Callable[..., Factors], Callable[..., Factors]]] = {
    "general": (lu.lu, lu.resume),
    "positive": (cholesky.cholesky, cholesky.resume),
}


@of_matrix
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


@of_matrix
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
        On all ranks, if shapes do not match, also that of the factors, or A is not
        finite.

    Notes
    -----
    A column is refined while each step halves its backward error (`residual`); a step
    that does not is discarded, so no backward error ever grows. An error
    estimate costs two products with X and a copy of A. Rank 0 solves small systems,
    by `factorization.on_one_rank`: one gather of A and B, and one scatter of X; of
    larger ones it gathers the factors if that is estimated to be faster.
    """
    with raise_together(a.comm) as same:
        same("solve", a, b, kind, refinements, _check_factors(factors, a))
        a.check_comm(b)
        if a.shape[0] != b.shape[0]:
            raise ValueError(
                f"cannot solve {a.shape[0]} x {a.shape[1]} for {b.shape[0]} rows;"
                f" expected {a.shape[0]}"
            )
    if factors is None:
        if is_small(a, b.shape[1]) and not a.is_on_device:
            x = on_rank_0(solve_arrays, a, b, kind=kind, refinements=refinements)
            return scattered(a.comm, x, b.layout, np.result_type(a.dtype, b.dtype))
        factors = factorise(a, kind)
    apply = solver(factors, b.shape[1], SOLUTIONS if refinements > 0 else 1)
    x = apply(b)
    if refinements < 1:
        return x
    # Cholesky reads only the lower triangle of A.
    full = a if isinstance(factors, LU) else hermitian(a)
    return refine(full, x, b, apply, refinements)


def _check_factors(factors: Factors | None, a: DistMatrix) -> DistMatrix | None:
    """Return the matrix of the factors of A, if there are; raise if it does not fit."""
    if factors is None:
        return None
    matrix = matrix_of(factors)
    if not isinstance(matrix, DistMatrix):
        raise TypeError(
            f"factors is a {type(factors).__name__}; expected factorise(A), which is"
            " an LU or a DistMatrix"
        )
    a.check_comm(matrix)
    if matrix.shape != a.shape:
        raise ValueError(
            f"the factors are of a {matrix.shape[0]} x {matrix.shape[1]} matrix, but A"
            f" is {a.shape[0]} x {a.shape[1]}; expected factorise(A)"
        )
    return matrix


def is_small(a: DistMatrix, columns: int) -> bool:
    """Return whether rank 0 shall solve for so many right sides. Local."""
    n = a.shape[0]
    return on_one_rank(a, 2 * n * n * (n / 3 + columns), columns)


def hermitian(a: DistMatrix) -> DistMatrix:
    """Return the Hermitian matrix with the lower triangle of A. Collective."""
    module = array_module(a.local)
    i, j = like(a.local, a.row_indices)[:, None], like(a.local, a.col_indices)[None, :]
    above = a.map(lambda x: module.where(i > j, x, 0)).H
    return a.map(
        lambda x, y: module.where(i > j, x, module.where(i == j, x.real, y)), above
    )


@of_matrix
def inverse(
    a: DistMatrix, *, kind: str = "general", factors: Factors | None = None
) -> DistMatrix:
    """Return the inverse of A, in its layout. Collective; as `solve`.

    The inverse of the lower factor, a triangle, takes a third of the flops of a system
    with n right sides. To multiply by the inverse, `solve` is faster and more accurate.
    """
    with raise_together(a.comm) as same:
        same("inverse", a, kind, _check_factors(factors, a))
    if factors is None:
        if is_small(a, a.shape[0]):
            result = on_rank_0(inverse_array, a, kind=kind)
            return scattered(a.comm, result, a.layout, a.dtype)
        factors = factorise(a, kind)
    matrix = matrix_of(factors)
    lower_inverse = inverse_of_lower(matrix, unit=isinstance(factors, LU))
    dtype = np.result_type(matrix.dtype, a.dtype)
    if matrix.dtype != dtype:
        lower_inverse = lower_inverse.astype(dtype)
    if isinstance(factors, LU):
        result = solve_triangular(matrix, lower_inverse, lower=False)
        return put_columns(result, factors.rows, a.layout)
    result = solve_triangular(matrix, lower_inverse, op="H").redistribute(a.layout)
    return (result + result.H) * 0.5
