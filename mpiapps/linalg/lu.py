"""LU factors with partial pivoting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import get_lapack_funcs

from mpiapps.comm.cut import Array
from mpiapps.kernels.blas import add_product, solve_rows
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.triangles import Blocks, Panel, bcast_in, panels, square


@dataclass(frozen=True)
class LU:
    """Factors of a matrix: ``A[rows] = L U``.

    Attributes
    ----------
    factors : DistMatrix, n x n
        U on and above the diagonal, L below; L's diagonal of ones is not kept.
    rows : ndarray of int64, shape (n,)
        The rows of A in the order of the factors, on every rank.
    """

    factors: DistMatrix
    rows: npt.NDArray[np.int64]


def lu(a: DistMatrix, block: int | None = None) -> LU:
    """Return the LU factors of A with partial pivoting. Collective.

    Parameters
    ----------
    a : DistMatrix, n x n
        It is not changed.
    block : int, optional
        Rows and columns of a block. Default: `triangles.block_for`.

    Raises
    ------
    numpy.linalg.LinAlgError
        On all ranks, if A is singular: names the column without a pivot.
    ValueError
        On all ranks, if A is not square or not finite.

    Notes
    -----
    Right-looking and blocked (Golub, Van Loan: Matrix Computations, 3.4; ScaLAPACK's
    pdgetrf). A block column is gathered on the rank of its diagonal block and
    factorised there by LAPACK: two messages for each block, where pivot searches over
    the ranks take two for each column. On a p x q grid a rank receives
    ``n^2/2p + n^2/2q`` elements, and the swapped rows.
    """
    made = square(a, block)
    parts = Blocks(made)
    n = made.shape[0]
    order, bad = np.arange(n, dtype=np.int64), 0
    for panel in panels(parts.rows, made.layout.grid):
        pivots = np.zeros(len(panel) + 1, np.int64)
        if parts.inside:
            column = _factorise(parts, panel, pivots)
        # Ranks outside the grid hear of the pivots, too.
        root = made.layout.ranks[panel.row * made.layout.grid[1] + panel.col]
        bcast_in(made.comm, pivots, root)
        bad = int(pivots[-1])
        if bad:
            break
        swapped = _swapped(order.size, panel, pivots[:-1])
        order = order[swapped]
        if parts.inside:
            _swap(parts, swapped, panel)
            _update(parts, panel, column)
    if bad:
        raise np.linalg.LinAlgError(
            f"the matrix is singular: column {bad - 1} has no pivot that is not zero"
        )
    return LU(made, order)


def _factorise(parts: Blocks, panel: Panel, pivots: npt.NDArray[np.int64]) -> Array:
    """Factorise one block column; return its rows of this rank. Collective in the grid.

    They are in the order after the swaps. The rank of the diagonal block learns the
    pivots, as rows below the panel's first.
    """
    nb, k = len(panel), panel.k
    top = parts.rows_from(k.start)
    mine = np.empty((parts.local.shape[0] - top, nb), parts.local.dtype)
    if parts.j == panel.col:
        left = parts.cols.local(k.start)
        mine[...] = parts.local[top:, left : left + nb]
        col = parts.grid.col
        places = [_places(parts, i, k.start) for i in range(col.size)]
        if parts.i == panel.row:
            whole = np.empty((parts.rows.n - k.start, nb), mine.dtype)
            for source in range(col.size):
                piece = (
                    mine
                    if source == parts.i
                    else np.empty((places[source].size, nb), mine.dtype)
                )
                if source != parts.i and piece.size:
                    col.Recv(piece, source=source)
                whole[places[source]] = piece
            getrf = get_lapack_funcs("getrf", dtype=whole.dtype)
            factors, found, info = getrf(whole)
            pivots[:-1] = found
            pivots[-1] = k.start + info if info > 0 else 0
            for other in range(col.size):
                piece = np.ascontiguousarray(factors[places[other]])
                if other == parts.i:
                    mine = piece
                elif piece.size:
                    col.Send(piece, dest=other)
        elif mine.size:
            parts.grid.col.Send(mine, dest=panel.row)
            parts.grid.col.Recv(mine, source=panel.row)
    return bcast_in(parts.grid.row, mine, panel.col)


def _places(parts: Blocks, i: int, start: int) -> npt.NDArray[np.int64]:
    """Return where process row `i`'s rows from `start` on are in the whole's."""
    rows = parts.rows.indices(i)
    return rows[parts.rows.below(start, i) :] - start


def _swapped(
    n: int, panel: Panel, pivots: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return which row comes to each place when the swaps are done in turn. Local."""
    order = np.arange(n, dtype=np.int64)
    for offset, pivot in enumerate(pivots):
        one, other = panel.k.start + offset, panel.k.start + int(pivot)
        order[[one, other]] = order[[other, one]]
    return order


def _swap(parts: Blocks, order: npt.NDArray[np.int64], panel: Panel) -> None:
    """Bring rows to their new places, but for the panel's. Collective in the column."""
    moved = np.flatnonzero(order != np.arange(order.size))
    if not moved.size:
        return
    local, col = parts.local, parts.grid.col
    owner = moved // parts.rows.block % parts.rows.procs
    source = order[moved]
    from_ = source // parts.rows.block % parts.rows.procs
    rows = np.empty((moved.size, local.shape[1]), local.dtype)
    for root in range(col.size):
        its = from_ == root
        # All swapped rows of one owner go round the column: 2 nb rows at the most.
        piece = np.empty((int(its.sum()), local.shape[1]), local.dtype)
        if root == parts.i:
            piece[...] = local[parts.rows.locals(source[its])]
        rows[its] = bcast_in(col, piece, root)
    mine = owner == parts.i
    into = parts.rows.locals(moved[mine])
    if parts.j == panel.col:  # its panel comes swapped
        left = parts.cols.local(panel.k.start)
        keep = local[:, left : left + len(panel)].copy()
        local[into] = rows[mine]
        local[:, left : left + len(panel)] = keep
    else:
        local[into] = rows[mine]


def _update(parts: Blocks, panel: Panel, column: Array) -> None:
    """Keep the panel's factors, and update the rest. Collective in the grid."""
    local, nb, k = parts.local, len(panel), panel.k
    top, right = parts.rows_from(k.start), parts.cols_from(k.stop)
    if parts.j == panel.col:
        left = parts.cols.local(k.start)
        local[top:, left : left + nb] = column
    upper = np.empty((nb, local.shape[1] - right), local.dtype)
    if parts.i == panel.row:
        mine = local[top : top + nb, right:]
        solve_rows(column[:nb], mine, lower=True, unit=True)
        upper[...] = mine
        column = column[nb:]
    bcast_in(parts.grid.col, upper, panel.row)
    add_product(local[parts.rows_from(k.stop) :, right:], column, upper, -1)
