"""Residual, backward error and refinement of a solution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.device.arrays import array_module, like, on_device, to_host
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.multiply import multiply

MIN_ROUNDINGS = 4  # backward error in eps that needs no refinement
Errors = npt.NDArray[np.float64]
Matrix = TypeVar("Matrix", DistMatrix, Array)
Magnitudes = tuple[Matrix, Errors]  # of the elements of A; the largest of each column


def residual(
    a: Matrix, x: Matrix, b: Matrix, magnitudes: Magnitudes[Matrix] | None = None
) -> tuple[Matrix, Errors]:
    """Return ``B - A X`` and the backward errors of the columns of X. Collective.

    Of arrays, on one rank: local.

    Parameters
    ----------
    a : DistMatrix or ndarray, n x n
    x, b : DistMatrix or ndarray, n x r
    magnitudes : Magnitudes, optional
        Those of A, if they have been computed.

    Returns
    -------
    rest : DistMatrix or ndarray, n x r
        In the layout of B.
    errors : ndarray, shape (r,), on every rank
        The componentwise backward error: the largest ``|B - A X| / (|A| |X| + |B|)`` of
        a column, the smallest relative perturbation of the elements of A and B for
        which X is exact (Oettli, Prager 1964; Higham: Accuracy and Stability of
        Numerical Algorithms, theorem 7.3). Infinity in place of NaN.

    Notes
    -----
    The quotient is meaningless where ``|A| |X| + |B|`` is at the level of the rounding
    errors of X, as in rows that would be zero without them (Arioli, Demmel, Duff:
    Solving sparse linear systems with sparse backward error, SIMAX 10 (1989)). So each
    element of X, scaled by the largest element of its column of A, is taken as at
    least ``n eps`` times the largest in its column of X. Cost: two products, and a copy
    of A.
    """
    kind, n = np.finfo(x.dtype), a.shape[1]
    with np.errstate(all="ignore"):  # overflow gives an error of infinity
        rest = _add_product(b, a, x, -1)
        matrix, largest = magnitudes or magnitudes_of(a)
        sizes = _map(np.abs, x)
        local, rows, columns = local_part(sizes)
        weights = np.where(largest == 0, 1, largest)[rows, None].astype(sizes.dtype)
        factors = like(local, weights)
        floor = largest_in_columns(_map(lambda local: local * factors, sizes))
        local[...] += like(local, n * float(kind.eps) * floor[columns] / weights)
        scale = _add_product(_map(np.abs, b), matrix, sizes, 1)
        least = n * kind.tiny  # avoid loss of digits by underflow
        ratio = _map(lambda r, s: np.abs(r) / (s + least), rest, scale)
        return rest, largest_in_columns(ratio)


def magnitudes_of(a: Matrix) -> Magnitudes[Matrix]:
    """Return |A|, and the largest element of each of its columns. Collective."""
    matrix = _map(np.abs, a)
    return matrix, largest_in_columns(matrix)


def refine(
    a: Matrix,
    x: Matrix,
    b: Matrix,
    apply: Callable[[Matrix], Matrix],
    max_steps: int,
) -> Matrix:
    """Return X after at most `max_steps` steps of iterative refinement. Collective.

    Of arrays, on one rank: local. `apply` solves with A, approximately.

    As in LAPACK's gerfs, a column is refined while its backward error exceeds the
    rounding error and was halved; unlike there, other steps are discarded.
    """
    tolerance = MIN_ROUNDINGS * float(np.finfo(x.dtype).eps)
    magnitudes = magnitudes_of(a)
    rest, errors = residual(a, x, b, magnitudes)
    active = errors > tolerance
    for _ in range(max_steps):
        if not active.any():
            break
        local, _, columns = local_part(rest)
        local[:, like(local, np.flatnonzero(~active[columns]))] = 0
        with np.errstate(all="ignore"):
            candidate = x + apply(rest)
        rest, later = residual(a, candidate, b, magnitudes)
        halved = np.isfinite(later) & (later <= errors / 2)
        local, _, columns = local_part(x)
        kept = like(local, np.flatnonzero(halved[columns]))
        local[:, kept] = local_part(candidate)[0][:, kept]
        active = halved & (later > tolerance)
        errors = np.where(halved, later, errors)
    return x


def local_part(matrix: Matrix) -> tuple[Array, Any, Any]:
    """Return the local block, with the global indices of its rows and columns."""
    if isinstance(matrix, DistMatrix):
        return matrix.local, matrix.row_indices, matrix.col_indices
    return matrix, slice(None), slice(None)


def _map(function: Callable[..., Array], matrix: Matrix, *others: Matrix) -> Matrix:
    if isinstance(matrix, DistMatrix):
        return matrix.map(function, *others)
    return function(matrix, *others)


def _add_product(c: Matrix, a: Matrix, b: Matrix, alpha: float) -> Matrix:
    """Return ``alpha A B + C``."""
    if isinstance(c, DistMatrix):
        return multiply(a, b, c, alpha=alpha, beta=1)
    return c + alpha * (a @ b)


def largest_in_columns(sizes: Matrix) -> Errors:
    """Return the largest element of each column, on every rank. Collective.

    Elements must be nonnegative; infinity for a column with a NaN.
    """
    local, _, columns = local_part(sizes)
    maxima = np.zeros(sizes.shape[1])
    local_maxima = _column_maxima(local)
    maxima[columns] = np.where(np.isnan(local_maxima), np.inf, local_maxima)
    if isinstance(sizes, DistMatrix):
        sizes.comm.Allreduce(MPI.IN_PLACE, maxima, op=MPI.MAX)
    return maxima


def _column_maxima(local: Array) -> Array:
    """Return the largest element of each column, or 0 of none, on the host. Local."""
    if not on_device(local):
        maxima: Array = local.max(axis=0, initial=0)
        return maxima
    if not len(local):  # CuPy's max has no `initial`
        return np.zeros(local.shape[1])
    return to_host(array_module(local).max(local, axis=0))
