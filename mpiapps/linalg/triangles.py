"""What factorisations share: square blocks in turn, and who has which of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import index

import numpy as np
import numpy.typing as npt

from mpiapps.comm.agree import agree
from mpiapps.comm.cut import Array, bcast_bytes
from mpiapps.comm.mpi import MPI
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.grid import ProcessGrid, grid_of
from mpiapps.linalg.layout import Layout


@dataclass(frozen=True)
class Panel:
    """One block column of a factorisation.

    Attributes
    ----------
    k : range
        Its rows and columns of the whole.
    row, col : int
        The process row and column that keep the diagonal block.
    """

    k: range
    row: int
    col: int

    def __len__(self) -> int:
        """Return its width."""
        return len(self.k)


@dataclass(frozen=True)
class Halfway:
    """A factorisation between two block columns, in square blocks dealt in turn.

    Attributes
    ----------
    matrix : DistMatrix, n x n
        Factors and what is left of A; it is the one at work, so to be copied or
        written, not kept.
    done : int
        Columns that have been subtracted from the rest.
    rows : ndarray of int64, shape (n,), optional
        Of LU: the rows of A in the order of the matrix.
    """

    matrix: DistMatrix
    done: int = 0
    rows: npt.NDArray[np.int64] | None = None

    @property
    def block(self) -> int:
        """Rows and columns of a block: to go on, they must be the same."""
        return self.matrix.layout.rows.block


At = Callable[[Halfway], None]
_NONE = np.empty((0, 2), np.int64)


def block_for(n: int, size: int) -> int:
    """Return a block size for factorising n x n on `size` ranks. Local.

    Wide enough for BLAS, and some blocks for each rank, so that none is idle for long.
    """
    each = -(-n // (4 * max(1, int(size**0.5))))
    return max(1, min(256, -(-each // 32) * 32))


def square(
    a: DistMatrix, block: int | None, call: str, *, lower: bool = False
) -> DistMatrix:
    """Return a copy of the square matrix A in square blocks dealt in turn. Collective.

    Parameters
    ----------
    a : DistMatrix, n x n
    block : int or None
    call : str
        What it is for: all ranks must be in the same call.
    lower : bool
        Whether the triangle above the diagonal may hold anything.

    Raises
    ------
    TypeError, ValueError
        On all ranks, if A is not square or holds a NaN or an infinity, or the ranks
        disagree.
    """
    m, n = a.shape
    with agree(a.comm) as same:
        block = None if block is None else index(block)
        same(call, a, block)
        if m != n:
            raise ValueError(f"the matrix is {m} x {n}; it must be square")
        # A sum is finite only if all of it is; where it is not, look which.
        plain = np.isfinite(a.local.sum())
        bad = _NONE if plain else np.argwhere(~np.isfinite(a.local))
        if lower:
            bad = bad[a.row_indices[bad[:, 0]] >= a.col_indices[bad[:, 1]]]
        if bad.size:
            i, j = a.row_indices[bad[0, 0]], a.col_indices[bad[0, 1]]
            value = a.local[tuple(bad[0])]
            raise ValueError(f"element ({i}, {j}) is {value}; all must be finite")
    return a.redistribute(
        Layout.cyclic((n, n), a.comm.size, block or block_for(n, a.comm.size))
    )


def panels(axis: Axis, grid: tuple[int, int]) -> Iterator[Panel]:
    """Yield the block columns of a square matrix, from the left. Local."""
    for number, start in enumerate(range(0, axis.n, axis.block)):
        k = range(start, min(start + axis.block, axis.n))
        yield Panel(k, number % grid[0], number % grid[1])


class Blocks:
    """A matrix in square blocks with its grid: the local side of a factorisation."""

    def __init__(self, a: DistMatrix) -> None:
        """Take a matrix that `square` made. Collective."""
        self.matrix, self.local = a, a.local
        self.rows, self.cols = a.layout.rows, a.layout.cols
        self.grid: ProcessGrid = grid_of(a.comm, a.layout)
        self.inside = self.grid.coords is not None
        self.i, self.j = self.grid.coords or (-1, -1)

    def rows_from(self, index: int) -> int:
        """Return where this rank's rows from `index` on begin. Local."""
        return self.rows.below(index, self.i)

    def cols_from(self, index: int) -> int:
        """Return where this rank's columns from `index` on begin. Local."""
        return self.cols.below(index, self.j)


def bcast_in(comm: MPI.Comm, array: Array, root: int) -> Array:
    """Fill C-contiguous `array` from the root's; return it. Collective."""
    if comm.size > 1 and array.size:
        bcast_bytes(comm, array, root)
    return array
