"""LU factors with partial pivoting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import get_lapack_funcs

from mpiapps.comm.cut import Array, pieces
from mpiapps.comm.mpi import MPI
from mpiapps.kernels.blas import add_product, solve_rows
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.space import Space
from mpiapps.linalg.triangles import (
    At,
    Blocks,
    Halfway,
    Panel,
    bcast_in,
    panels,
    square,
)


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


def lu(a: DistMatrix, block: int | None = None, *, at: At | None = None) -> LU:
    """Return the LU factors of A with partial pivoting. Collective.

    Parameters
    ----------
    a : DistMatrix, n x n
        It is not changed.
    block : int, optional
        Rows and columns of a block. Default: `triangles.block_for`.
    at : callable, optional
        Called on all ranks between two block columns, with a `Halfway`; it may save
        it for `go_on`, and may raise.

    Raises
    ------
    numpy.linalg.LinAlgError
        On all ranks, if A is singular: names the column without a pivot.
    ValueError
        On all ranks, if A is not square or not finite.

    Notes
    -----
    Right-looking and blocked (Golub, Van Loan: Matrix Computations, 3.4; ScaLAPACK's
    pdgetrf), one block column ahead, as `cholesky`. A block column is gathered on the
    rank of its diagonal block and factorised there by LAPACK: two messages for each
    block, where pivot searches over the ranks take two for each column. On a p x q grid
    a rank receives ``n^2/2p + n^2/2q`` elements, and the swapped rows.
    """
    made = square(a, block, "lu")
    return go_on(Halfway(made, rows=np.arange(made.shape[0])), at)


def go_on(since: Halfway, at: At | None = None) -> LU:
    """Return the factors from a factorisation that was stopped. Collective; as `lu`."""
    made, order = since.matrix, since.rows
    assert order is not None
    parts, space = Blocks(made), Space(made.dtype)
    todo = [p for p in panels(parts.rows, made.layout.grid) if p.k.start >= since.done]
    coming = [_Coming(parts, p, space) for p in todo[:1]]
    for number, panel in enumerate(todo):
        here = coming.pop()
        bad = here.wait()
        if bad:
            raise np.linalg.LinAlgError(
                f"the matrix is singular: column {bad - 1} has no pivot that is not"
                " zero"
            )
        if at is not None and number:
            at(Halfway(made, panel.k.start, order))
        swapped = _swapped(order.size, panel, here.pivots)
        order = order[swapped]
        _swap(parts, swapped, panel, space)
        rest = _Rest(parts, panel, here.column, space)
        for ahead in todo[number + 1 : number + 2]:
            done = parts.cols_from(ahead.k.stop)
            rest.update(parts.cols_from(ahead.k.start), done)
            coming.append(_Coming(parts, ahead, space))
            rest.update(done, parts.local.shape[1])
    return LU(made, order)


class _Coming:
    """A block column's factors, on their way to the ranks of its rows.

    Attributes
    ----------
    column : ndarray
        Its rows of this rank from the diagonal block on, in the order after the swaps.
    pivots : ndarray of int64
        Which rows were swapped in turn, counted from the panel's first.
    """

    def __init__(self, parts: Blocks, panel: Panel, space: Space) -> None:
        """Factorise it and begin to send it. Collective."""
        nb, top = len(panel), parts.rows_from(panel.k.start)
        # The one before is still in use.
        name = f"column {panel.k.start // parts.rows.block % 2}"
        self.column = space.take(name, parts.local.shape[0] - top, nb)
        # One number more tells whether it went well.
        self._found = np.zeros(nb + 1, np.int64)
        self.pivots = self._found[:-1]
        if parts.j == panel.col:
            left = parts.cols.local(panel.k.start)
            self.column[...] = parts.local[top:, left : left + nb]
            _factorise(parts, panel, self.column, self._found, space)
        row, comm = parts.grid.row, parts.matrix.comm
        root = panel.row * parts.matrix.layout.grid[1] + panel.col
        self._requests = [comm.Ibcast(self._found, root=root)]
        if row.size > 1 and self.column.size:
            each = pieces(self.column)
            self._requests += [row.Ibcast(piece, root=panel.col) for piece in each]

    def wait(self) -> int:
        """Return the number of the first column without a pivot, or 0. Collective."""
        MPI.Request.Waitall(self._requests)
        return int(self._found[-1])


def _factorise(
    parts: Blocks,
    panel: Panel,
    mine: Array,
    found: npt.NDArray[np.int64],
    space: Space,
) -> None:
    """Factorise a block column in place. Collective in the process column.

    The rank of the diagonal block learns the pivots, and whether there is none.
    """
    col = parts.grid.col
    if parts.i != panel.row:
        if mine.size:
            col.Send(mine, dest=panel.row)
            col.Recv(mine, source=panel.row)
        return
    places = [_places(parts, i, panel.k.start) for i in range(col.size)]
    # As LAPACK reads it, columns first.
    whole = space.take("whole", len(panel), parts.rows.n - panel.k.start).T
    for source, at in enumerate(places):
        piece = mine
        if source != parts.i:
            piece = space.take("piece", at.size, len(panel))
            if piece.size:
                col.Recv(piece, source=source)
        whole[at] = piece
    getrf = get_lapack_funcs("getrf", dtype=whole.dtype)
    factors, found[:-1], info = getrf(whole, overwrite_a=True)
    found[-1] = panel.k.start + info if info > 0 else 0
    for other, at in enumerate(places):
        if other == parts.i:
            mine[...] = factors[at]
        elif at.size:
            col.Send(np.ascontiguousarray(factors[at]), dest=other)


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


def _swap(
    parts: Blocks, order: npt.NDArray[np.int64], panel: Panel, space: Space
) -> None:
    """Bring rows to their new places, but for the panel's. Collective in the column."""
    moved = np.flatnonzero(order != np.arange(order.size))
    width = parts.local.shape[1]
    spans = [slice(0, width)]
    if parts.j == panel.col:  # its panel comes swapped
        left = parts.cols.local(panel.k.start)
        spans = [slice(0, left), slice(left + len(panel), width)]
    for span in spans:
        _swap_in(parts, order, moved, parts.local[:, span], space)


def _swap_in(
    parts: Blocks,
    order: npt.NDArray[np.int64],
    moved: npt.NDArray[np.int64],
    local: Array,
    space: Space,
) -> None:
    """Bring the `moved` rows of some columns to their new places. Collective."""
    col, axis = parts.grid.col, parts.rows
    owner, source = moved // axis.block % axis.procs, order[moved]
    from_, width = source // axis.block % axis.procs, local.shape[1]
    rows = space.take("rows", moved.size, width)
    for root in range(col.size):
        its = np.flatnonzero(from_ == root)
        # All swapped rows of one owner go round the column: 2 nb rows at the most.
        alone = its.size == moved.size
        piece = rows if alone else space.take("of one", its.size, width)
        if root == parts.i:
            # Row by row: an array of indices would copy twice.
            for place, row in enumerate(axis.locals(source[its]).tolist()):
                piece[place] = local[row]
        bcast_in(col, piece, root)
        if not alone:
            rows[its] = piece
    mine = np.flatnonzero(owner == parts.i)
    into = axis.locals(moved[mine]).tolist()
    for place, row in zip(mine.tolist(), into, strict=True):
        local[row] = rows[place]


class _Rest:
    """What lies right of a block column, and what is subtracted from it."""

    def __init__(
        self, parts: Blocks, panel: Panel, column: Array, space: Space
    ) -> None:
        """Keep the factors, and make U's rows of the panel. Collective."""
        nb, top = len(panel), parts.rows_from(panel.k.start)
        self._parts = parts
        self._left = parts.cols_from(panel.k.stop)
        if parts.j == panel.col:
            left = parts.cols.local(panel.k.start)
            parts.local[top:, left : left + nb] = column
        upper = space.take("upper", nb, parts.local.shape[1] - self._left)
        self._below = column
        if parts.i == panel.row:
            mine = parts.local[top : top + nb, self._left :]
            solve_rows(column[:nb], mine, lower=True, unit=True)
            upper[...] = mine
            self._below = column[nb:]
        self._top = parts.rows_from(panel.k.stop)
        self._upper = bcast_in(parts.grid.col, upper, panel.row)

    def update(self, left: int, right: int) -> None:
        """Subtract ``below upper`` from columns `left` to `right`. Local."""
        part = slice(left - self._left, right - self._left)
        rest = self._parts.local[self._top :, left:right]
        add_product(rest, self._below, self._upper[:, part], -1)
