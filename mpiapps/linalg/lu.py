"""LU factorisation with partial pivoting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.device.arrays import array_module, like, on_device
from mpiapps.kernels.blas import add_product, solve_rows
from mpiapps.kernels.lapack import getrf
from mpiapps.kernels.transpose import transposed
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.block_messages import bcast_in, prepare, recv, send, start_bcast
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.factorization import (
    Blocks,
    Panel,
    PanelCallback,
    PartialFactorization,
    TrailingUpdate,
    block_for_lu,
    copy_rows,
    factorise_panels,
    gather_rows,
    square_blocks,
)
from mpiapps.linalg.workspace import Workspace


@dataclass(frozen=True)
class LU:
    """Factors of a matrix: ``A[rows] = L U``.

    Attributes
    ----------
    factors : DistMatrix, n x n
        U on and above the diagonal, L below it; the unit diagonal of L is not stored.
    rows : ndarray of int64, shape (n,)
        The rows of A in the order of the factors, on every rank.
    """

    factors: DistMatrix
    rows: npt.NDArray[np.int64]


def lu(
    a: DistMatrix, block: int | None = None, *, on_panel: PanelCallback | None = None
) -> LU:
    """Return the LU factors of A with partial pivoting. Collective; as `cholesky`.

    Raises
    ------
    numpy.linalg.LinAlgError
        On all ranks, if A is singular; the message has the column without a pivot.
    ValueError
        On all ranks, if A is not square or not finite.

    Notes
    -----
    Right-looking and blocked (Golub, Van Loan: Matrix Computations, 3.4; ScaLAPACK's
    pdgetrf) with look-ahead. A panel is gathered on the rank of its diagonal block and
    factorised there by getrf: two messages per panel, where a distributed pivot search
    takes two per column. On a p x q grid a rank receives ``n^2/2p + n^2/2q`` elements,
    and the swapped rows.
    """
    if on_panel is not None:
        block = block or block_for_lu(a.shape[0], a.comm.size)
    matrix = square_blocks(a, block, "lu", width=block_for_lu)
    if block is None and matrix.layout.grid == (1, 1):
        return _on_one_rank(matrix)
    return resume(
        PartialFactorization(matrix, rows=np.arange(matrix.shape[0])), on_panel
    )


def _on_one_rank(matrix: DistMatrix) -> LU:
    """Return the factors of a matrix on one rank, in its memory. Collective."""
    n = matrix.shape[0]
    pivots = np.arange(n, dtype=np.int64)
    with raise_together(matrix.comm):
        if matrix.local.size:
            # Column-major, as LAPACK expects.
            factors, pivots[:] = lu_in_place(transposed(matrix.local).T)
            matrix.local = transposed(factors.T)
    bcast_in(matrix.comm, pivots, matrix.layout.ranks[0])
    return LU(matrix, permutation_of(n, 0, pivots))


def lu_in_place(whole: Array) -> tuple[Array, npt.NDArray[np.int32]]:
    """Return factors and pivots of a column-major array, by getrf. Local.

    Raises
    ------
    numpy.linalg.LinAlgError
        If it is singular.
    """
    factors, pivots, info = getrf(whole)
    if info:
        raise _singular(info)
    return factors, pivots


def _singular(column: int) -> np.linalg.LinAlgError:
    return np.linalg.LinAlgError(
        f"the matrix is singular: column {column - 1} has no nonzero pivot"
    )


def resume(partial: PartialFactorization, on_panel: PanelCallback | None = None) -> LU:
    """Return the factors, continuing a partial factorisation. Collective; as `lu`."""
    assert partial.rows is not None
    matrix, order = partial.matrix, partial.rows
    parts, workspace = Blocks(matrix), Workspace(matrix.dtype, matrix.local)

    def start(panel: Panel) -> _LUPanel:
        return _LUPanel(parts, panel, workspace)

    def finish(panel: Panel, arrived: _LUPanel) -> TrailingUpdate:
        nonlocal order
        if bad := arrived.wait():
            raise _singular(bad)
        if on_panel is not None and panel.k.start > partial.done:
            on_panel(PartialFactorization(matrix, panel.k.start, order))
        permutation = permutation_of(order.size, panel.k.start, arrived.pivots)
        order = order[permutation]
        _swap(parts, permutation, panel, workspace)
        return _LUTrailingUpdate(parts, panel, arrived.column, workspace).update

    prepare(parts.grid.col, matrix.local)
    factorise_panels(parts, partial.done, start, finish)
    return LU(matrix, order)


class _LUPanel:
    """The factors of a panel and their broadcast along the process rows.

    Attributes
    ----------
    column : ndarray
        The local rows of the panel from the diagonal block on, after the swaps.
    pivots : ndarray of int64
        getrf's ipiv: the row swapped with each row, relative to the panel.
    """

    def __init__(self, parts: Blocks, panel: Panel, workspace: Workspace) -> None:
        """Factorise the panel and start its broadcast. Collective."""
        nb, top = len(panel), parts.rows_from(panel.k.start)
        # Two buffers: the previous panel is still in use.
        name = f"column {panel.k.start // parts.rows.block % 2}"
        self.column = workspace.get(name, parts.local.shape[0] - top, nb)
        # The last element is the info code of getrf.
        self._pivots_info = np.zeros(nb + 1, np.int64)
        self.pivots = self._pivots_info[:-1]
        if parts.j == panel.col:
            self.column[...] = parts.column(panel)
            _factorise(parts, panel, self.column, self._pivots_info, workspace)
        row, comm = parts.grid.row, parts.matrix.comm
        root = panel.row * parts.matrix.layout.grid[1] + panel.col
        self._requests = [comm.Ibcast(self._pivots_info, root=root)]
        self._complete = start_bcast(row, self.column, panel.col)

    def wait(self) -> int:
        """Wait; return 1 + the first column without a pivot, or 0. Collective."""
        MPI.Request.Waitall(self._requests)
        self._complete()
        return int(self._pivots_info[-1])


def _factorise(
    parts: Blocks,
    panel: Panel,
    column: Array,
    pivots_info: npt.NDArray[np.int64],
    workspace: Workspace,
) -> None:
    """Factorise a panel in place. Collective in the process column.

    Pivots and info are set on the rank of the diagonal block only.
    """
    col = parts.grid.col
    if parts.i != panel.row:
        if column.size:
            send(col, column, panel.row)
            recv(col, column, panel.row)
        return
    row_indices = [
        like(column, _panel_rows(parts, i, panel.k.start)) for i in range(col.size)
    ]
    # Column-major, as LAPACK expects.
    whole = workspace.get("whole", len(panel), parts.rows.n - panel.k.start).T
    for source, rows in enumerate(row_indices):
        piece = column
        if source != parts.i:
            piece = workspace.get("piece", rows.size, len(panel))
            if piece.size:
                recv(col, piece, source)
        whole[rows] = piece
    factors, pivots_info[:-1], info = getrf(whole)
    pivots_info[-1] = panel.k.start + info if info > 0 else 0
    for other, rows in enumerate(row_indices):
        if other == parts.i:
            column[...] = factors[rows]
        elif rows.size:
            send(col, array_module(factors).ascontiguousarray(factors[rows]), other)


def _panel_rows(parts: Blocks, i: int, start: int) -> npt.NDArray[np.int64]:
    """Return process row `i`'s rows from `start` on, relative to `start`. Local."""
    rows = parts.rows.indices(i)
    return rows[parts.rows.count_below(start, i) :] - start


def permutation_of(
    n: int, start: int, pivots: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the row permutation of a panel's swaps from row `start` on (laswp)."""
    moved: dict[int, int] = {}
    for one, other in enumerate((pivots + start).tolist(), start):
        moved[one], moved[other] = moved.get(other, other), moved.get(one, one)
    order = np.arange(n, dtype=np.int64)
    order[list(moved)] = list(moved.values())
    return order


def _swap(
    parts: Blocks, order: npt.NDArray[np.int64], panel: Panel, workspace: Workspace
) -> None:
    """Permute the rows outside the panel. Collective in the process column."""
    moved = np.flatnonzero(order != np.arange(order.size))
    width = parts.local.shape[1]
    spans = [slice(0, width)]
    if parts.j == panel.col:  # the panel is permuted already
        left = parts.cols.local(panel.k.start)
        spans = [slice(0, left), slice(left + len(panel), width)]
    for span in spans:
        _swap_in(parts, order, moved, parts.local[:, span], workspace)


def _swap_in(
    parts: Blocks,
    order: npt.NDArray[np.int64],
    moved: npt.NDArray[np.int64],
    local: Array,
    workspace: Workspace,
) -> None:
    """Permute the `moved` rows of `local`. Collective in the process column."""
    axis, source = parts.rows, order[moved]
    rows = workspace.get("rows", moved.size, local.shape[1])

    def copy(numbers: npt.NDArray[np.int64], out: Array) -> None:
        own = axis.local(source[numbers])
        if on_device(local):
            copy_rows(local, own, out)
            return
        # Row by row: fancy indexing would copy twice.
        for number, row in enumerate(own.tolist()):
            out[number] = local[row]

    # Broadcast all swapped rows of one owner: at most 2 nb rows.
    gather_rows(parts.grid.col, axis.owner(source), copy, rows, workspace)
    own = np.flatnonzero(axis.owner(moved) == parts.i)
    into = axis.local(moved[own])
    if on_device(local):
        local[like(local, into)] = rows[like(local, own)]
        return
    for number, row in zip(own.tolist(), into.tolist(), strict=True):
        local[row] = rows[number]


class _LUTrailingUpdate:
    """Update of the trailing matrix by a panel."""

    def __init__(
        self, parts: Blocks, panel: Panel, column: Array, workspace: Workspace
    ) -> None:
        """Store the panel, and compute and broadcast its rows of U. Collective."""
        nb, top = len(panel), parts.rows_from(panel.k.start)
        self._parts = parts
        self._left = parts.cols_from(panel.k.stop)
        if parts.j == panel.col:
            parts.column(panel)[...] = column
        upper = workspace.get("upper", nb, parts.local.shape[1] - self._left)
        self._below = column
        if parts.i == panel.row:
            own = parts.local[top : top + nb, self._left :]
            solve_rows(column[:nb], own, lower=True, unit=True)
            upper[...] = own
            self._below = column[nb:]
        self._top = parts.rows_from(panel.k.stop)
        self._upper = bcast_in(parts.grid.col, upper, panel.row)

    def update(self, left: int, right: int) -> None:
        """Subtract ``below upper`` from columns `left` to `right` (gemm). Local."""
        part = slice(left - self._left, right - self._left)
        rest = self._parts.local[self._top :, left:right]
        add_product(rest, self._below, self._upper[:, part], -1)
