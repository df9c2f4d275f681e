"""Cholesky factors of Hermitian positive definite matrices."""

from __future__ import annotations

import numpy as np
from scipy.linalg import get_lapack_funcs

from mpiapps.comm.cut import Array
from mpiapps.kernels.blas import add_product, solve_columns
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.triangles import Blocks, Panel, bcast_in, panels, square


def cholesky(a: DistMatrix, block: int | None = None) -> DistMatrix:
    """Return lower triangular L with ``A = L L.H``. Collective.

    Parameters
    ----------
    a : DistMatrix, n x n
        Hermitian and positive definite; only its lower triangle is looked at, and it
        is not changed.
    block : int, optional
        Rows and columns of a block. Default: `triangles.block_for`.

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
    pdpotrf). Each rank receives ``n^2/2p + n^2/2q`` elements on a p x q grid, in three
    messages a block.
    """
    made = square(a, block)
    parts = Blocks(made)
    bad = 0
    for panel in panels(parts.rows, made.layout.grid):
        if parts.inside:
            bad = _step(parts, panel)
            if bad:
                break
    bad = made.comm.bcast(bad, root=made.layout.ranks[0])
    if bad:
        raise np.linalg.LinAlgError(
            f"the matrix is not positive definite: its leading minor of order {bad} is"
            " not; look for dependent rows, or use solve"
        )
    for place, column in enumerate(made.col_indices.tolist()):
        parts.local[: parts.rows_from(column), place] = 0
    return made


def _step(parts: Blocks, panel: Panel) -> int:
    """Factorise one block column, and update the rest. Collective in the grid.

    Returns the order of the leading minor that is not positive, or 0.
    """
    local, nb, k = parts.local, len(panel), panel.k
    top = parts.rows_from(k.start)  # my rows from the diagonal block on
    low = parts.rows_from(k.stop)  # ... and below it
    # One number more tells whether it went well.
    mine = np.zeros((local.shape[0] - top) * nb + 1, local.dtype)
    column = mine[:-1].reshape(-1, nb)
    if parts.j == panel.col:
        left = parts.cols.local(k.start)
        column[...] = local[top:, left : left + nb]
        mine[-1] = _factorise(parts, panel, column)
        local[top:, left : left + nb] = column
    bcast_in(parts.grid.row, mine, panel.col)
    if bad := int(mine[-1].real):
        return bad
    below = column[low - top :]
    across = _across(parts, panel, below)
    _update(parts, panel, below, across)
    return 0


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


def _across(parts: Blocks, panel: Panel, below: Array) -> Array:
    """Return the rows of the block column that belong to this rank's columns.

    They lie on the ranks of this process column, each of which has those that are its
    rows. Collective in the process column.
    """
    columns = parts.cols.indices(parts.j)[parts.cols_from(panel.k.stop) :]
    rows = parts.rows.indices(parts.i)[parts.rows_from(panel.k.stop) :]
    owner = columns // parts.rows.block % parts.rows.procs
    across = np.empty((columns.size, len(panel)), below.dtype)
    for root in range(parts.grid.col.size):
        its = owner == root
        piece = np.empty((int(its.sum()), len(panel)), below.dtype)
        if root == parts.i:
            piece[...] = below[np.searchsorted(rows, columns[its])]
        across[its] = bcast_in(parts.grid.col, piece, root)
    return across


def _update(parts: Blocks, panel: Panel, below: Array, across: Array) -> None:
    """Subtract ``below across.H`` from the rest of the lower triangle. Local."""
    local, block = parts.local, parts.cols.block
    first_row = parts.rows_from(panel.k.stop)
    first_col = parts.cols_from(panel.k.stop)
    columns = parts.cols.indices(parts.j)
    for left in range(first_col, local.shape[1], block):
        right = min(left + block, local.shape[1])
        top = parts.rows_from(int(columns[left]))
        add_product(
            local[top:, left:right],
            below[top - first_row :],
            across[left - first_col : right - first_col],
            -1,
            "H",
        )
