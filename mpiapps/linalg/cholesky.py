"""Cholesky factors of Hermitian positive definite matrices."""

from __future__ import annotations

import numpy as np
from scipy.linalg import get_lapack_funcs

from mpiapps.comm.cut import Array, pieces
from mpiapps.comm.mpi import MPI
from mpiapps.kernels.blas import add_product, solve_columns
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


def cholesky(
    a: DistMatrix, block: int | None = None, *, at: At | None = None
) -> DistMatrix:
    """Return lower triangular L with ``A = L L.H``. Collective.

    Parameters
    ----------
    a : DistMatrix, n x n
        Hermitian and positive definite; only its lower triangle is looked at, and what
        is above it may be anything; it is not changed.
    block : int, optional
        Rows and columns of a block. Default: `triangles.block_for`.
    at : callable, optional
        Called on all ranks between two block columns, with a `Halfway`; it may save
        it for `go_on`, and may raise.

    Returns
    -------
    DistMatrix
        Zero above the diagonal, in square blocks dealt in turn.

    Raises
    ------
    numpy.linalg.LinAlgError
        On all ranks, if A is not positive definite; names the first leading minor that
        is not.
    ValueError
        On all ranks, if A is not square or not finite.

    Notes
    -----
    Right-looking and blocked (Golub, Van Loan: Matrix Computations, 4.2.6; ScaLAPACK's
    pdpotrf), one block column ahead: the next one is factorised and on its way before
    the rest is updated. Each rank receives ``n^2/2p + n^2/2q`` elements on a p x q
    grid, in three messages a block.
    """
    return go_on(Halfway(square(a, block, "cholesky", lower=True)), at)


def go_on(since: Halfway, at: At | None = None) -> DistMatrix:
    """Return L from a factorisation that was stopped. Collective; as `cholesky`."""
    made = since.matrix
    parts = Blocks(made)
    todo = [p for p in panels(parts.rows, made.layout.grid) if p.k.start >= since.done]
    space = Space(made.dtype)
    coming = [_Coming(parts, p, space) for p in todo[:1]]
    for number, panel in enumerate(todo):
        here = coming.pop()
        bad = here.wait()
        if bad:
            raise np.linalg.LinAlgError(
                f"the matrix is not positive definite: its leading minor of order {bad}"
                " is not; look for dependent rows, or use solve"
            )
        if at is not None and number:
            at(Halfway(made, panel.k.start))
        rest = _Rest(parts, panel, here.column, space)
        for ahead in todo[number + 1 : number + 2]:
            done = parts.cols_from(ahead.k.stop)
            rest.update(parts.cols_from(ahead.k.start), done)
            coming.append(_Coming(parts, ahead, space))
            rest.update(done, parts.local.shape[1])
    _clear_above(parts)
    return made


def _clear_above(parts: Blocks) -> None:
    """Set what is above the diagonal to zero. Local."""
    rows, columns = parts.matrix.row_indices, parts.matrix.col_indices
    for left in range(0, columns.size, parts.cols.block):
        block = columns[left : left + parts.cols.block]
        above = parts.rows_from(int(block[0]))
        end = parts.rows_from(int(block[-1]) + 1)
        each = slice(left, left + block.size)
        parts.local[:above, each] = 0
        parts.local[above:end, each][rows[above:end, None] < block] = 0


class _Coming:
    """A block column of L on its way to the ranks of its rows.

    Attributes
    ----------
    column : ndarray
        Its rows of this rank from the diagonal block on.
    """

    def __init__(self, parts: Blocks, panel: Panel, space: Space) -> None:
        """Factorise it and begin to send it. Collective."""
        nb, top = len(panel), parts.rows_from(panel.k.start)
        # The one before is still in use.
        name = f"column {panel.k.start // parts.rows.block % 2}"
        # One number more tells whether it went well.
        self._mine = space.take(name, (parts.local.shape[0] - top) * nb + 1)
        self._mine[-1] = 0
        self.column = self._mine[:-1].reshape(-1, nb)
        if parts.j == panel.col:
            left = parts.cols.local(panel.k.start)
            self.column[...] = parts.local[top:, left : left + nb]
            self._mine[-1] = _factorise(parts, panel, self.column)
        row = parts.grid.row
        each = pieces(self._mine) if row.size > 1 else ()
        self._requests = [row.Ibcast(piece, root=panel.col) for piece in each]

    def wait(self) -> int:
        """Return the order of the minor that is not positive, or 0. Collective."""
        MPI.Request.Waitall(self._requests)
        return int(self._mine[-1].real)


def _factorise(parts: Blocks, panel: Panel, column: Array) -> int:
    """Turn a block column of A into one of L. Collective in the process column."""
    nb = len(panel)
    corner = np.zeros(nb * nb + 1, column.dtype)
    square_ = corner[:-1].reshape(nb, nb)
    if parts.i == panel.row:
        potrf = get_lapack_funcs("potrf", dtype=column.dtype)
        # Lower of rows is upper of columns, which LAPACK reads: its conjugate there.
        factor, info = potrf(column[:nb].conj().T, lower=0, clean=1)
        square_[...] = factor.conj().T
        column[:nb] = square_
        corner[-1] = panel.k.start + info if info else 0
    bcast_in(parts.grid.col, corner, panel.row)
    if bad := int(corner[-1].real):
        return bad
    below = column[nb:] if parts.i == panel.row else column
    solve_columns(square_, below, lower=True)
    return 0


class _Rest:
    """What lies right of a block column, and what is subtracted from it."""

    def __init__(
        self, parts: Blocks, panel: Panel, column: Array, space: Space
    ) -> None:
        """Keep the block column, and spread its rows. Collective."""
        self._parts = parts
        top = parts.rows_from(panel.k.start)
        if parts.j == panel.col:
            left = parts.cols.local(panel.k.start)
            parts.local[top:, left : left + len(panel)] = column
        self._top = parts.rows_from(panel.k.stop)
        self._left = parts.cols_from(panel.k.stop)
        self._columns = parts.cols.indices(parts.j)
        self._below = column[self._top - top :]
        self._across = _across(parts, panel, self._below, space)

    def update(self, left: int, right: int, bottom: int | None = None) -> None:
        """Subtract from columns `left` to `right`, on and below the diagonal. Local.

        The triangle is cut into two and a rectangle, over and over: wide products are
        a third faster than those of one block column (docs/matrix.md).
        """
        if left >= right:
            return
        parts, block = self._parts, self._parts.cols.block
        bottom = parts.local.shape[0] if bottom is None else bottom
        if right - left <= block:
            self._subtract(self._from(left), bottom, left, right)
            return
        middle = left + -(-(right - left) // (2 * block)) * block
        cut = self._from(middle)
        self._subtract(cut, bottom, left, middle)
        self.update(left, middle, cut)
        self.update(middle, right, bottom)

    def _from(self, column: int) -> int:
        return self._parts.rows_from(int(self._columns[column]))

    def _subtract(self, top: int, bottom: int, left: int, right: int) -> None:
        """Do ``local -= below across.H`` for some rows and columns."""
        add_product(
            self._parts.local[top:bottom, left:right],
            self._below[top - self._top : bottom - self._top],
            self._across[left - self._left : right - self._left],
            -1,
            "H",
        )


def _across(parts: Blocks, panel: Panel, below: Array, space: Space) -> Array:
    """Return the rows of the block column that belong to this rank's columns.

    They lie on the ranks of this process column, each of which has those that are its
    rows. Collective in the process column.
    """
    first = parts.cols_from(panel.k.stop)
    columns = parts.cols.indices(parts.j)[first:]
    owner = columns // parts.rows.block % parts.rows.procs
    top = parts.rows_from(panel.k.stop)
    across = space.take("across", columns.size, len(panel))
    for root in range(parts.grid.col.size):
        its = np.flatnonzero(owner == root)
        here = across if its.size == columns.size else None
        piece = space.take("piece", its.size, len(panel)) if here is None else here
        if root == parts.i:
            rows = parts.rows.locals(columns[its]) - top
            np.take(below, rows, axis=0, out=piece, mode="clip")  # unbuffered
        bcast_in(parts.grid.col, piece, root)
        if here is None:
            across[its] = piece
    return across
