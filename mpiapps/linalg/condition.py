"""Condition numbers from LU factors."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import computed_on_root
from mpiapps.linalg import lu
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.factor_solvers import gathered_matrix, lu_solver, rank_0_is_faster
from mpiapps.linalg.lapack_solve import ArraySolver, lu_solvers
from mpiapps.linalg.lu import LU
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.linalg.matvec import matvec
from mpiapps.linalg.one_rank import on_rank_0
from mpiapps.linalg.reductions import norm
from mpiapps.linalg.solve import is_small

SOLUTIONS = 10  # of an estimate
# Growth factor of LU divided by n; only contrived matrices exceed it, with tournaments
# (`lu_panel.MAX_MULTIPLIER`) as with partial pivoting.
MAX_PIVOT_GROWTH = 8
# Of a largest element that is not scaled: it is not below one half, as scaling would
# make elements of the inverse smaller, which may overflow.
LARGEST_EXPONENT = 16


@of_matrix
def condition(a: DistMatrix, steps: int = 5) -> float:
    """Return a lower estimate of the 1-norm condition number of A. Collective.

    Hager's and Higham's estimator of the inverse's norm (Higham: FORTRAN codes for
    estimating the one-norm, ACM TOMS 14 (1988), algorithm 2.4): rarely more than a
    third too low, at two solves per step. Infinity for a singular matrix, and if
    elements of the inverse overflow. Small matrices as in `solve`; of larger ones
    rank 0 gathers the factors, unless it is estimated to take longer than the messages
    of all ranks.

    Raises
    ------
    TypeError, ValueError
        On all ranks, if A is a mask, is not square or not finite.
    """
    n = a.shape[0]
    refuse_masks("condition", a.dtype)  # the same on all ranks
    if a.comm.size > 1 and is_small(a, 1):
        return float(a.comm.bcast(on_rank_0(condition, a, steps=steps)))
    if n == 0:
        return 0.0
    a, largest = _scaled(a)
    try:
        forward, backward = _inverses(a, largest)
    except np.linalg.LinAlgError:
        return float("inf")
    x = np.full(n, 1 / n, a.dtype)
    estimate, previous = 0.0, -1
    for _ in range(steps):
        y = forward(x)
        size = _sum_of_sizes(y)
        if not np.isfinite(size):
            return float("inf")
        if size <= estimate:
            break
        estimate = size
        # Not y / |y|: NumPy's quotient of complex numbers overflows for denormal ones.
        z = backward(np.where(y == 0, 1, np.sign(y)).astype(a.dtype))
        if not np.isfinite(z).all():
            return float("inf")
        best = int(np.argmax(np.abs(z)))
        if best == previous:
            break
        previous, x = best, np.zeros(n, a.dtype)
        x[best] = 1
    # Higham's additional vector, for matrices that defeat the iteration.
    i = np.arange(n)
    alternating = ((-1.0) ** i * (1 + i / max(1, n - 1))).astype(a.dtype)
    estimate = max(estimate, 2 * _sum_of_sizes(forward(alternating)) / (3 * n))
    return norm(a, "1") * estimate


def _sum_of_sizes(y: Array) -> float:
    """Return the sum of magnitudes, which may overflow in single precision. Local."""
    return float(np.abs(y).sum(dtype=float))


def _scaled(a: DistMatrix) -> tuple[DistMatrix, float]:
    """Return A and its largest element, scaled by a power of two if it is extreme."""
    largest = norm(a, "max")
    exponent = -math.frexp(largest)[1]
    if not math.isfinite(largest):  # as the magnitude of a finite complex number may be
        exponent = -1 - int(np.finfo(a.dtype).maxexp)
    if -LARGEST_EXPONENT <= exponent <= 0:
        return a, largest
    half = exponent // 2  # the whole power may overflow
    powers = [a.dtype.type(2.0**power) for power in (half, exponent - half)]
    scaled = a.map(lambda local: local * powers[0] * powers[1])
    return scaled, norm(scaled, "max")


def _inverses(a: DistMatrix, largest: float) -> tuple[Callable[[Array], Array], ...]:
    """Return functions that apply the inverses of A and A.H to a vector. Collective.

    `largest` is the largest element of A. If the pivot growth would ruin the accuracy,
    ``A R`` is factorised instead, with the Householder reflection R of a random vector.
    """
    n = a.shape[0]
    largest_factor, forward, backward = _vector_solvers(a)
    if largest_factor <= MAX_PIVOT_GROWTH * n * largest:
        return forward, backward
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
    matrix = factors.factors
    solve_vector: Callable[..., Array] = partial(_solve_vector, factors)
    if rank_0_is_faster(matrix, 1, SOLUTIONS):
        solve_vector = _on_rank_0(factors)
    forward, backward = (
        partial(solve_vector, adjoint=adjoint) for adjoint in (False, True)
    )
    return norm(matrix, "max"), forward, backward


def _on_rank_0(factors: LU) -> Callable[..., Array]:
    """Return `_solve_vector` for factors that rank 0 gathers. Collective, as it is."""
    own, comm = LU(gathered_matrix(factors.factors), factors.rows), factors.factors.comm

    def solve_vector(x: Array, *, adjoint: bool) -> Array:
        return computed_on_root(comm, lambda: _solve_vector(own, x, adjoint=adjoint))

    return solve_vector


def _solve_vector(factors: LU, x: Array, *, adjoint: bool) -> Array:
    """Solve for a vector that is on all ranks. Collective."""
    comm = factors.factors.comm
    b = DistMatrix.from_function(comm, (x.size, 1), lambda i, _: x[i], x.dtype)
    return lu_solver(factors, adjoint=adjoint)(b).to_all()[:, 0]
