"""Systems solved with factors, by all ranks or by rank 0, which gathers the factors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.device.arrays import like
from mpiapps.linalg import factorization
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import flop_weight
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.lu import LU
from mpiapps.linalg.one_rank import SELF, on_rank_0, scattered
from mpiapps.linalg.product_choice import REDISTRIBUTION_PASSES, Cost
from mpiapps.linalg.trsm import panel_width, solve_triangular

Factors = LU | DistMatrix  # the latter: the lower triangle of Cholesky
MatrixSolver = Callable[[DistMatrix], DistMatrix]


def matrix_of(factors: Factors) -> DistMatrix:
    """Return the matrix that has the factors. Local."""
    return factors.factors if isinstance(factors, LU) else factors


def solver(factors: Factors, columns: int, solutions: int) -> MatrixSolver:
    """Return the function that solves with A from its factors. Both are collective.

    Parameters
    ----------
    factors : LU or DistMatrix
    columns, solutions : int
        Number of right sides, and of calls of the function: they decide whether rank 0
        gathers the factors.
    """
    matrix = matrix_of(factors)
    if not rank_0_is_faster(matrix, columns, solutions):
        return _solver(factors)
    gathered = gathered_matrix(matrix)
    whole = LU(gathered, factors.rows) if isinstance(factors, LU) else gathered
    solve_alone, dtype = _solver(whole), matrix.dtype

    def apply(b: DistMatrix) -> DistMatrix:
        result = on_rank_0(solve_alone, b)
        return scattered(b.comm, result, b.layout, np.result_type(dtype, b.dtype))

    return apply


def rank_0_is_faster(factors: DistMatrix, columns: int, solutions: int) -> bool:
    """Return whether rank 0 is estimated to solve faster, with its gather. Local.

    Parameters are those of `solver`; each solution is one for L and one for U.
    """
    n, size, layout = factors.shape[0], factors.comm.size, factors.layout
    if size == 1 or factors.is_on_device:
        return False
    # Triangles are read from memory at about four times the speed of messages.
    extra = solutions * n * n * (1 - 1 / size)
    moved = 0 if layout.ranks == (0,) else n * n
    moved += 2 * solutions * n * columns
    elements = REDISTRIBUTION_PASSES * moved + extra / 4
    messages = (1 + 2 * solutions) * (size - 1)
    flops = 2 * columns * extra * flop_weight(factors.dtype)
    alone = Cost(flops, elements, messages)
    panels = 2 * solutions * -(-n // panel_width(layout, size))
    return alone.seconds(factors.dtype.itemsize) < panels * factorization.PANEL_SECONDS


def gathered_matrix(a: DistMatrix) -> DistMatrix:
    """Return A as a matrix of rank 0 alone, on other ranks an empty one. Collective.

    On `SELF`; it shares its memory with A if all of A is on rank 0.
    """
    local = a._redistributed(Layout.on_one(a.shape, 0)).local
    return DistMatrix(SELF, Layout.on_one(local.shape, 0), local)


def lu_solver(lu_factors: LU, *, adjoint: bool = False) -> MatrixSolver:
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


def _solver(factors: Factors) -> MatrixSolver:
    """Return the function that solves with A from its factors."""
    if isinstance(factors, LU):
        return lu_solver(factors)

    def apply(b: DistMatrix) -> DistMatrix:
        return solve_triangular(factors, solve_triangular(factors, b), op="H")

    return apply


def take_rows(a: DistMatrix, rows: Array) -> DistMatrix:
    """Return ``A[rows]`` for a permutation of A's rows. Collective.

    Cost: two redistributions of A.
    """
    whole = a.redistribute(Layout.blocks(a.shape, (1, a.comm.size)))
    local = whole.local
    if local.size:
        local = local[like(local, rows)]
    return DistMatrix(a.comm, whole.layout, local).redistribute(a.layout)


def put_columns(a: DistMatrix, columns: Array, layout: Layout) -> DistMatrix:
    """Return X with ``X[:, columns] = A`` for a permutation of columns. Collective.

    Cost: two redistributions of A, one if `layout` is contiguous rows of all ranks.
    """
    rows = Layout.blocks(a.shape, (a.comm.size, 1))
    local = np.take(a.redistribute(rows).local, np.argsort(columns), axis=1)
    result = DistMatrix(a.comm, rows, local)
    return result if layout == rows else result.redistribute(layout)
