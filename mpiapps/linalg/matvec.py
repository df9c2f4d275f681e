"""Products of a matrix and a vector, replicated on all ranks."""

from __future__ import annotations

import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.device.arrays import like, to_host
from mpiapps.linalg import operands
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.element_moves import own_part
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.linalg.reductions import sum_over_ranks


@of_matrix
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

    Notes
    -----
    Cost: one all-gather of m numbers per process column; terms are added in rank order.
    """
    return sum_over_ranks(a, to_host(a.local @ _own_elements(a, x, 1)), 1)


@of_matrix
def vecmat(x: npt.ArrayLike, a: DistMatrix) -> Array:
    """Return ``x A``, shape (n,), on every rank. Collective; as `matvec`."""
    return sum_over_ranks(a, to_host(_own_elements(a, x, 0) @ a.local), 0)


def _own_elements(a: DistMatrix, x: npt.ArrayLike, axis: int) -> Array:
    """Return the elements of x for the local rows or columns. Collective.

    They are where the local block is.
    """
    with raise_together(a.comm) as same:
        vector = operands.numbers(x, "x")
        same(("vecmat", "matvec")[axis], a, vector)
        if vector.shape != (a.shape[axis],):
            sides = f"{a.shape[0]} x {a.shape[1]}", f"a vector of shape {vector.shape}"
            raise ValueError(
                f"cannot multiply {' by '.join(sides if axis else sides[::-1])};"
                f" expected ({a.shape[axis]},)"
            )
    # Where both are index arrays, they have two dimensions, as from `numpy.ix_`.
    elements: Array = vector[own_part(a.layout, a.comm.rank)[axis]].reshape(-1)
    return like(a.local, elements)
