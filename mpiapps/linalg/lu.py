"""LU factorisation with partial or tournament pivoting."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.device.arrays import on_device
from mpiapps.kernels.blas import add_product, solve_rows
from mpiapps.kernels.lapack import getrf
from mpiapps.kernels.transpose import transposed
from mpiapps.launch.mpi import MPI
from mpiapps.linalg import lu_panel
from mpiapps.linalg.block_messages import bcast_in, prepare, start_bcast
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.factorization import (
    Blocks,
    Panel,
    PanelCallback,
    PartialFactorization,
    Pivoting,
    TrailingUpdate,
    factorise_panels,
    square_blocks,
)
from mpiapps.linalg.lu_panel import (
    block_for_lu,
    factorise_by_tournament,
    factorise_on_one,
)
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.linalg.row_swaps import permutation_of, swap_rows
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


@of_matrix
def lu(
    a: DistMatrix,
    block: int | None = None,
    *,
    pivoting: Pivoting | None = None,
    on_panel: PanelCallback | None = None,
) -> LU:
    """Return the LU factors of A. Collective; as `cholesky`.

    Parameters
    ----------
    a : DistMatrix, n x n
    block : int, optional
        Panel width. Default: `block_for_lu`, or one rank alone if it is faster.
    pivoting : {"partial", "tournament"}, optional
        Default: for each panel what is estimated to be faster; partial pivoting if the
        process grid has less than 4 rows. Panels on devices, and panels in which a
        tournament finds a pivot too small, always have partial pivoting.
    on_panel : callable, optional
        Called between two panels.

    Raises
    ------
    numpy.linalg.LinAlgError
        On all ranks, if A is singular; the message has the column without a pivot.
    ValueError
        On all ranks, if A is not square or not finite, or for another `pivoting`.

    Notes
    -----
    Right-looking and blocked (Golub, Van Loan: Matrix Computations, 3.4; ScaLAPACK's
    pdgetrf) with look-ahead. With partial pivoting a panel is gathered on the rank of
    its diagonal block and factorised there by getrf: two messages per panel, where a
    distributed pivot search takes two per column. In a tournament (Grigori, Demmel,
    Xiang: CALU, SIAM J. Matrix Anal. Appl. 32, 2011) each rank of the process column
    chooses nb candidate rows by getrf, and in each of log2(p) rounds one rank of two
    chooses nb of the candidates of both. Elements of L may then exceed 1, up to
    `lu_panel.MAX_MULTIPLIER`. On a p x q grid a rank receives ``n^2/2p + n^2/2q``
    elements, and the swapped rows.
    """
    with raise_together(a.comm) as same:
        same("lu", pivoting)
        if pivoting is not None and pivoting not in get_args(Pivoting):
            expected = " or ".join(map(repr, get_args(Pivoting)))
            raise ValueError(f"pivoting is {pivoting!r}; expected {expected}")
    on_one = pivoting == "partial" or on_device(a.local)
    width = partial(block_for_lu, on_one=on_one)
    if on_panel is not None:
        block = block or width(a.shape[0], a.comm.size)
    matrix = square_blocks(a, block, "lu", width=width)
    if block is None and matrix.layout.grid == (1, 1):
        return _on_one_rank(matrix)
    rows = np.arange(matrix.shape[0])
    return resume(PartialFactorization(matrix, rows=rows, pivoting=pivoting), on_panel)


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


def resume(begun: PartialFactorization, on_panel: PanelCallback | None = None) -> LU:
    """Return the factors, continuing a partial factorisation. Collective; as `lu`."""
    assert begun.rows is not None
    matrix, order, pivoting = begun.matrix, begun.rows, begun.pivoting
    parts, workspace = Blocks(matrix), Workspace(matrix.dtype, matrix.local)

    start = partial(_LUPanel, parts, workspace, pivoting)

    def finish(panel: Panel, arrived: _LUPanel) -> TrailingUpdate:
        nonlocal order
        if bad := arrived.wait():
            raise _singular(bad)
        if on_panel is not None and panel.k.start > begun.done:
            on_panel(PartialFactorization(matrix, panel.k.start, order, pivoting))
        permutation = permutation_of(order.size, panel.k.start, arrived.pivots)
        order = order[permutation]
        swap_rows(parts, permutation, panel, workspace)
        return _LUTrailingUpdate(parts, panel, arrived.column, workspace).update

    prepare(parts.grid.col, matrix.local)
    factorise_panels(parts, begun.done, start, finish)
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

    def __init__(
        self,
        parts: Blocks,
        workspace: Workspace,
        pivoting: Pivoting | None,
        panel: Panel,
    ) -> None:
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
            self._factorise(parts, panel, workspace, pivoting)
        row, comm = parts.grid.row, parts.matrix.comm
        root = panel.row * parts.matrix.layout.grid[1] + panel.col
        self._requests = [comm.Ibcast(self._pivots_info, root=root)]
        self._complete = start_bcast(row, self.column, panel.col)

    def _factorise(
        self,
        parts: Blocks,
        panel: Panel,
        workspace: Workspace,
        pivoting: Pivoting | None,
    ) -> None:
        """Factorise the panel. Collective in the process column."""
        if pivoting is None and lu_panel.tournament_is_faster(
            parts.rows.n - panel.k.start, len(panel), parts.grid.col.size
        ):
            pivoting = "tournament"
        arguments = parts, panel, self.column, self._pivots_info, workspace
        if pivoting == "tournament" and not on_device(self.column):
            if factorise_by_tournament(*arguments):
                return
            self.column[...] = parts.column(panel)
        factorise_on_one(*arguments)

    def wait(self) -> int:
        """Wait; return 1 + the first column without a pivot, or 0. Collective."""
        MPI.Request.Waitall(self._requests)
        self._complete()
        return int(self._pivots_info[-1])


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
