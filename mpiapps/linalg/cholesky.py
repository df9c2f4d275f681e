"""Cholesky factorisation of Hermitian positive definite matrices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.device.arrays import array_module, like
from mpiapps.kernels.blas import add_product, solve_columns
from mpiapps.kernels.lapack import potrf
from mpiapps.linalg.block_messages import bcast_in, start_bcast
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.factorization import (
    Blocks,
    Panel,
    PanelCallback,
    PartialFactorization,
    TrailingUpdate,
    block_for,
    copy_rows,
    factorise_panels,
    gather_rows,
    square_blocks,
)
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.linalg.workspace import Workspace


@of_matrix
def cholesky(
    a: DistMatrix, block: int | None = None, *, on_panel: PanelCallback | None = None
) -> DistMatrix:
    """Return lower triangular L with ``A = L L.H``. Collective.

    Parameters
    ----------
    a : DistMatrix, n x n
        Hermitian and positive definite; only its lower triangle is read.
    block : int, optional
        Block size of L. Default: `factorization.block_for`; L of a small matrix is on
        rank 0, and computed there (`factorization.on_one_rank`).
    on_panel : callable, optional
        See `factorization.PanelCallback`.

    Raises
    ------
    numpy.linalg.LinAlgError
        On all ranks, if A is not positive definite; the message has the order of the
        first leading minor that is not.
    ValueError
        On all ranks, if A is not square or not finite.

    Notes
    -----
    Right-looking and blocked (Golub, Van Loan: Matrix Computations, 4.2.6; ScaLAPACK's
    pdpotrf) with look-ahead. On a p x q grid each rank receives ``n^2/2p + n^2/2q``
    elements, in three messages per panel.
    """
    if on_panel is not None:
        block = block or block_for(a.shape[0], a.comm.size)
    matrix = square_blocks(a, block, "cholesky", lower=True)
    if block is None and matrix.layout.grid == (1, 1):
        return _on_one_rank(matrix)
    return resume(PartialFactorization(matrix), on_panel)


def _on_one_rank(matrix: DistMatrix) -> DistMatrix:
    """Return L, computed in the memory of a matrix on one rank. Collective."""
    with raise_together(matrix.comm):
        if matrix.local.size:
            # The column-major upper factor of A.T is the row-major lower one of A.
            matrix.local = cholesky_in_place(matrix.local.T).T
    return matrix


def cholesky_in_place(whole: Array) -> Array:
    """Return the upper factor of a column-major array, by potrf. Local.

    Raises
    ------
    numpy.linalg.LinAlgError
        If it is not positive definite.
    """
    upper, info = potrf(whole, overwrite=True)
    if info:
        raise _not_positive(info)
    return upper


def _not_positive(minor: int) -> np.linalg.LinAlgError:
    return np.linalg.LinAlgError(
        f"the matrix is not positive definite: its leading minor of order {minor}"
        " is not; look for dependent rows, or use solve"
    )


def resume(
    partial: PartialFactorization, on_panel: PanelCallback | None = None
) -> DistMatrix:
    """Return L, continuing a partial factorisation. Collective; as `cholesky`."""
    matrix, parts = partial.matrix, Blocks(partial.matrix)
    workspace = Workspace(matrix.dtype, matrix.local)

    def start(panel: Panel) -> _CholeskyPanel:
        return _CholeskyPanel(parts, panel, workspace)

    def finish(panel: Panel, arrived: _CholeskyPanel) -> TrailingUpdate:
        if bad := arrived.wait():
            raise _not_positive(bad)
        if on_panel is not None and panel.k.start > partial.done:
            on_panel(PartialFactorization(matrix, panel.k.start))
        return _CholeskyTrailingUpdate(parts, panel, arrived.column, workspace).update

    factorise_panels(parts, partial.done, start, finish)
    _clear_above(parts)
    return matrix


def _clear_above(parts: Blocks) -> None:
    """Set the elements above the diagonal to zero. Local."""
    rows, columns = parts.matrix.row_indices, parts.matrix.col_indices
    for left in range(0, columns.size, parts.cols.block):
        block = columns[left : left + parts.cols.block]
        above = parts.rows_from(int(block[0]))
        end = parts.rows_from(int(block[-1]) + 1)
        span = slice(left, left + block.size)
        parts.local[:above, span] = 0
        mask = like(parts.local, rows[above:end, None] < block)
        parts.local[above:end, span][mask] = 0


class _CholeskyPanel:
    """A panel of L and its broadcast along the process rows.

    Attributes
    ----------
    column : ndarray
        The local rows of the panel, from the diagonal block on.
    """

    def __init__(self, parts: Blocks, panel: Panel, workspace: Workspace) -> None:
        """Factorise the panel and start its broadcast. Collective."""
        nb, top = len(panel), parts.rows_from(panel.k.start)
        # Two buffers: the previous panel is still in use.
        name = f"column {panel.k.start // parts.rows.block % 2}"
        # The last element is the info code of potrf.
        self._buffer = workspace.get(name, (parts.local.shape[0] - top) * nb + 1)
        self._buffer[-1] = 0
        self.column = self._buffer[:-1].reshape(-1, nb)
        if parts.j == panel.col:
            self.column[...] = parts.column(panel)
            self._buffer[-1] = _factorise(parts, panel, self.column)
        self._complete = start_bcast(parts.grid.row, self._buffer, panel.col)

    def wait(self) -> int:
        """Wait; return the order of the nonpositive minor, or 0. Collective."""
        self._complete()
        return int(self._buffer[-1].real)


def _factorise(parts: Blocks, panel: Panel, column: Array) -> int:
    """Factorise a panel in place; return info. Collective in the process column."""
    nb = len(panel)
    corner = array_module(column).zeros(nb * nb + 1, column.dtype)
    square_ = corner[:-1].reshape(nb, nb)
    if parts.i == panel.row:
        # A row-major lower triangle is a column-major upper one, conjugated.
        factor, info = potrf(column[:nb].conj().T)
        square_[...] = factor.conj().T
        column[:nb] = square_
        corner[-1] = panel.k.start + info if info else 0
    bcast_in(parts.grid.col, corner, panel.row)
    if bad := int(corner[-1].real):
        return bad
    below = column[nb:] if parts.i == panel.row else column
    solve_columns(square_, below, lower=True)
    return 0


class _CholeskyTrailingUpdate:
    """Update of the trailing matrix by a panel."""

    def __init__(
        self, parts: Blocks, panel: Panel, column: Array, workspace: Workspace
    ) -> None:
        """Store the panel and broadcast its rows along the columns. Collective."""
        self._parts = parts
        if parts.j == panel.col:
            parts.column(panel)[...] = column
        self._top = parts.rows_from(panel.k.stop)
        self._left = parts.cols_from(panel.k.stop)
        self._columns = parts.cols.indices(parts.j)
        self._below = column[self._top - parts.rows_from(panel.k.start) :]
        self._across = _across(parts, panel, self._below, workspace)

    def update(self, left: int, right: int, bottom: int | None = None) -> None:
        """Update columns `left` to `right` on and below the diagonal (herk). Local.

        Splits the triangle recursively into two triangles and a rectangle: wide
        products are a third faster than those of one block (docs/matrix.md).
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
        """Compute ``local -= below across.H`` on a submatrix. Local."""
        add_product(
            self._parts.local[top:bottom, left:right],
            self._below[top - self._top : bottom - self._top],
            self._across[left - self._left : right - self._left],
            -1,
            "H",
        )


def _across(parts: Blocks, panel: Panel, below: Array, workspace: Workspace) -> Array:
    """Return the panel rows whose indices are this rank's columns.

    They are distributed by rows over the process column. Collective in that column.
    """
    columns = parts.cols.indices(parts.j)[parts.cols_from(panel.k.stop) :]
    top = parts.rows_from(panel.k.stop)
    across = workspace.get("across", columns.size, len(panel))

    def copy(numbers: npt.NDArray[np.int64], out: Array) -> None:
        copy_rows(below, parts.rows.local(columns[numbers]) - top, out)

    gather_rows(parts.grid.col, parts.rows.owner(columns), copy, across, workspace)
    return across
