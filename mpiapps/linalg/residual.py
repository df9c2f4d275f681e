"""How far a solution is from the equations that it solves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mpiapps.comm.cut import Array
from mpiapps.comm.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.multiply import multiply

Errors = npt.NDArray[np.float64]


def residual(a: DistMatrix, x: DistMatrix, b: DistMatrix) -> tuple[DistMatrix, Errors]:
    """Return ``B - A X``, and the backward error of each column of X. Collective.

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
        a column, the relative change of single elements of A and B that would make X
        exact (Oettli, Prager 1964; Higham: Accuracy and Stability of Numerical
        Algorithms, theorem 7.3). Infinity where it is not a number.

    Notes
    -----
    Where ``|A| |X| + |B|`` is no more than rounding errors of X, as in rows of a system
    that are zero but for these, there is nothing to compare with (Arioli, Demmel, Duff:
    Solving sparse linear systems with sparse backward error, SIMAX 10 (1989)). So each
    element of X counts for at least ``n eps`` of the largest in its column, each
    multiplied by the largest element in its column of A. Cost: two products, and a copy
    of A.
    """
    kind, n = np.finfo(x.dtype), a.shape[1]
    with np.errstate(all="ignore"):  # what overflows has no error
        rest = multiply(a, x, b, alpha=-1, beta=1)
        matrix, sizes = a.map(np.abs), x.map(np.abs)
        weights = largest_in_columns(matrix)[x.row_indices, None]
        weights[weights == 0] = 1
        weights = weights.astype(sizes.dtype)
        floor = largest_in_columns(sizes.map(lambda local: local * weights))
        floor = n * float(kind.eps) * floor[x.col_indices]
        sizes.local[...] += floor / weights
        scale = multiply(matrix, sizes, b.map(np.abs), beta=1)
        least = n * kind.tiny  # below it, digits are lost to underflow
        ratio = rest.map(lambda r, s: np.abs(r) / (s + least), scale)
        return rest, largest_in_columns(ratio)


def largest_in_columns(sizes: DistMatrix) -> Errors:
    """Return the largest number of each column, on every rank. Collective.

    Of numbers of 0 or more; infinity for a column that holds a NaN.
    """
    mine = np.zeros(sizes.shape[1])
    found: Array = sizes.local.max(axis=0, initial=0)
    mine[sizes.col_indices] = np.where(np.isnan(found), np.inf, found)
    sizes.comm.Allreduce(MPI.IN_PLACE, mine, op=MPI.MAX)
    return mine
