"""Residual and backward error of a solution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.multiply import multiply

Errors = npt.NDArray[np.float64]


def residual(a: DistMatrix, x: DistMatrix, b: DistMatrix) -> tuple[DistMatrix, Errors]:
    """Return ``B - A X`` and the backward errors of the columns of X. Collective.

    Parameters
    ----------
    a : DistMatrix, n x n
    x, b : DistMatrix, n x r

    Returns
    -------
    rest : DistMatrix, n x r
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
        rest = multiply(a, x, b, alpha=-1, beta=1)
        matrix, sizes = a.map(np.abs), x.map(np.abs)
        weights = largest_in_columns(matrix)[x.row_indices, None]
        weights[weights == 0] = 1
        weights = weights.astype(sizes.dtype)
        floor = largest_in_columns(sizes.map(lambda local: local * weights))
        floor = n * float(kind.eps) * floor[x.col_indices]
        sizes.local[...] += floor / weights
        scale = multiply(matrix, sizes, b.map(np.abs), beta=1)
        least = n * kind.tiny  # avoid loss of digits by underflow
        ratio = rest.map(lambda r, s: np.abs(r) / (s + least), scale)
        return rest, largest_in_columns(ratio)


def largest_in_columns(sizes: DistMatrix) -> Errors:
    """Return the largest element of each column, on every rank. Collective.

    Elements must be nonnegative; infinity for a column with a NaN.
    """
    maxima = np.zeros(sizes.shape[1])
    local_maxima: Array = sizes.local.max(axis=0, initial=0)
    maxima[sizes.col_indices] = np.where(np.isnan(local_maxima), np.inf, local_maxima)
    sizes.comm.Allreduce(MPI.IN_PLACE, maxima, op=MPI.MAX)
    return maxima
