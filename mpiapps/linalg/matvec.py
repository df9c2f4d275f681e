"""Matrix-vector products, replicated on all ranks."""

from __future__ import annotations

import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg import operands
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.reductions import sum_over_ranks


def matvec(a: DistMatrix, x: npt.ArrayLike) -> Array:
    """Return ``A x``, shape (m,), on every rank. Collective; also ``A @ x``.

    Parameters
    ----------
    a : DistMatrix, m x n
        Not redistributed.
    x : array_like, shape (n,)
        Bitwise the same on all ranks; checksums are compared.

    Raises
    ------
    TypeError, ValueError
        On all ranks, if x is not such a vector, or differs between ranks.
    """
    with raise_together(a.comm) as same:
        vector = operands.numbers(x, "x")
        same("matvec", a, vector)
        if vector.shape != (a.shape[1],):
            raise ValueError(
                f"cannot multiply {a.shape[0]} x {a.shape[1]} by a vector of shape"
                f" {vector.shape}; expected ({a.shape[1]},)"
            )
    return sum_over_ranks(a, a.local @ vector[a.col_indices], 1)
