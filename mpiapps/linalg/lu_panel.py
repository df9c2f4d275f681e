"""The factors of a panel of LU, on the ranks of its process column.

By partial pivoting on one rank, or by a tournament of all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.comm.partition import process_grid
from mpiapps.device.arrays import array_module, like
from mpiapps.kernels.blas import solve_columns
from mpiapps.kernels.lapack import getrf
from mpiapps.kernels.transpose import transposed
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.block_messages import bcast_in, recv, send
from mpiapps.linalg.factorization import Blocks, Panel, block_for
from mpiapps.linalg.product_choice import Cost
from mpiapps.linalg.row_swaps import permutation_of, swaps_of
from mpiapps.linalg.workspace import Workspace

Indices = npt.NDArray[np.int64]

ITEMSIZE = 8  # bytes, of the estimates
LEAST_PROCS = 4  # process rows, from which a tournament saves enough
# Largest element of L, above which partial pivoting repeats the panel. Those of random
# matrices are below 3, those of panels of low rank can be as large as 1/eps.
MAX_MULTIPLIER = 30.0


def block_for_lu(n: int, size: int, *, on_one: bool = False) -> int:
    """Return the block size for LU of n x n on `size` ranks. Local.

    As `block_for`, but narrower, so that all ranks do not wait for a panel.

    Parameters
    ----------
    n, size : int
    on_one : bool
        One rank factorises each panel, never a tournament.

    Notes
    -----
    All ranks update the rest of m rows in ``2 nb m**2 / size`` flops each. One rank
    factorises a panel in ``nb**2 m``: less, until half of the columns are done, if nb
    is at most ``n / size``. But it is slower at that: on two ranks, LU of order 512 to
    2048 takes least time with panels of 48 to 96 columns, and from 3072 on the width
    hardly matters. A tournament takes about ``2 nb**2 m / p`` on p process rows, a 16th
    of the update at first if nb is a 16th of a rank's columns. With less than 32
    columns BLAS loses more than the wait costs.
    """
    procs, q = process_grid(size)
    narrow, one = (
        min(block_for(n, size), max(32, width // 32 * 32))
        for width in (n // (16 * q), min(n // size, max(64, n // 20)))
    )
    return one if on_one or not tournament_is_faster(n, narrow, procs) else narrow


def tournament_flops(rows: int, nb: int, procs: int) -> float:
    """Return the flops of a rank in a tournament for a panel of rows x nb. Local."""
    rounds = (procs - 1).bit_length()
    return 2 * nb**2 * rows / procs + rounds * choice_flops(2 * nb, nb)


def choice_flops(rows: int, nb: int) -> float:
    """Return the flops of getrf of rows x nb, for at least nb rows. Local."""
    return nb**2 * (rows - nb / 3)


def panel_flops(rows: int, nb: int, procs: int) -> float:
    """Return the flops of the busiest rank for a panel of rows x nb. Local."""
    if tournament_is_faster(rows, nb, procs):
        return tournament_flops(rows, nb, procs)
    return choice_flops(rows, nb)


def tournament_is_faster(rows: int, nb: int, procs: int) -> bool:
    """Return whether a tournament is estimated to take less time. Local.

    For a panel of rows x nb on `procs` ranks.
    """
    rounds = (procs - 1).bit_length()
    on_one = Cost(choice_flops(rows, nb), 2 * rows * nb, 2 * (procs - 1))
    flops = tournament_flops(rows, nb, procs)
    on_all = Cost(flops, 3 * rounds * nb**2, 5 * rounds)
    return procs >= LEAST_PROCS and on_all.seconds(ITEMSIZE) < on_one.seconds(ITEMSIZE)


def factorise_by_tournament(
    parts: Blocks,
    panel: Panel,
    column: Array,
    pivots_info: Indices,
    workspace: Workspace,
) -> bool:
    """Factorise a panel in place by a tournament. Collective in the process column.

    Parameters
    ----------
    column : ndarray
        This rank's rows of the panel, in host memory.
    pivots_info : ndarray of int64, (nb + 1,)
        Is set to getrf's ipiv and info.

    Returns
    -------
    bool
        ``False`` on all ranks if a pivot is zero, or an element of L above
        `MAX_MULTIPLIER`: partial pivoting may find better pivots. The elements of
        `column` are then not defined.
    """
    candidates = _choose_pivot_rows(parts, panel, column, workspace)
    return _eliminate(parts, panel, column, candidates, pivots_info)


def factorise_on_one(
    parts: Blocks,
    panel: Panel,
    column: Array,
    pivots_info: Indices,
    workspace: Workspace,
) -> None:
    """Factorise a panel by getrf, on the rank of its diagonal block.

    As `factorise_by_tournament`; `pivots_info` is set on that rank only.
    """
    col = parts.grid.col
    if parts.i != panel.row:
        if column.size:
            send(col, column, panel.row)
            recv(col, column, panel.row)
        return
    row_indices = [
        like(column, panel_rows(parts, i, panel.k.start)) for i in range(col.size)
    ]
    # Column-major, as LAPACK expects.
    whole = workspace.get("whole", len(panel), parts.rows.n - panel.k.start).T
    for source, rows in enumerate(row_indices):
        piece = column
        if source != parts.i:
            piece = workspace.get("piece", rows.size, len(panel))
            if piece.size:
                recv(col, piece, source)
        if col.size > 1:
            whole[rows] = piece
        else:
            transposed(piece, out=whole.T)
    factors, pivots_info[:-1], info = getrf(whole)
    pivots_info[-1] = panel.k.start + info if info > 0 else 0
    if col.size == 1:
        transposed(factors.T, out=column)
        return
    for other, rows in enumerate(row_indices):
        if other == parts.i:
            column[...] = factors[rows]
        elif rows.size:
            send(col, array_module(factors).ascontiguousarray(factors[rows]), other)


def panel_rows(parts: Blocks, i: int, start: int) -> Indices:
    """Return process row `i`'s rows from `start` on, relative to `start`. Local."""
    rows = parts.rows.indices(i)
    return rows[parts.rows.count_below(start, i) :] - start


class _CandidateRows:
    """At most nb rows of a panel, the best pivots among some, and their factors."""

    def __init__(
        self, rows: Array, numbers: Indices, nb: int, workspace: Workspace
    ) -> None:
        """Choose among `rows`, those of the panel with these numbers."""
        self.rows, self.numbers, self.factors, self.info = rows, numbers, rows, 0
        count = min(nb, len(numbers))
        if not count:  # LAPACK does not accept 0 rows
            return
        whole = workspace.get("whole", nb, len(numbers)).T  # column-major
        whole[...] = rows
        factors, pivots, self.info = getrf(whole)
        order = permutation_of(len(numbers), 0, pivots.astype(np.int64))[:count]
        self.factors = factors[:count].copy()
        self.rows, self.numbers = rows[order], numbers[order]


def _choose_pivot_rows(
    parts: Blocks, panel: Panel, column: Array, workspace: Workspace
) -> _CandidateRows:
    """Return the best pivots of this rank and of those below it in a binomial tree.

    The root of the tree is the rank of the diagonal block.
    """
    col, nb, start = parts.grid.col, len(panel), panel.k.start
    own = panel_rows(parts, parts.i, start)
    best = _CandidateRows(column, own, nb, workspace)
    counts = rows_from(parts.rows, start)
    for dest, source, count in reduction_tree(parts.i, panel.row, counts, nb):
        if dest >= 0:
            if best.numbers.size:
                send(col, best.rows, dest)
                send(col, best.numbers, dest)
        elif count:
            rows = np.empty((count, nb), column.dtype)
            numbers = np.empty(count, np.int64)
            recv(col, rows, source)
            recv(col, numbers, source)
            rows = np.concatenate([best.rows, rows])
            numbers = np.concatenate([best.numbers, numbers])
            best = _CandidateRows(rows, numbers, nb, workspace)
    return best


def rows_from(axis: Axis, start: int) -> list[int]:
    """Return the number of rows from `start` on of each process row. Local."""
    return [axis.count(i) - axis.count_below(start, i) for i in range(axis.procs)]


def reduction_tree(
    i: int, root: int, rows: list[int], nb: int
) -> list[tuple[int, int, int]]:
    """Return the messages of a process row in a tournament, in order. Local.

    Parameters
    ----------
    i, root : int
        The process row, and that of the diagonal block.
    rows : list of int
        Rows of the panel of each process row.
    nb : int
        Columns of the panel.

    Returns
    -------
    list of (int, int, int)
        The process row to send to, or -1; to receive from, or -1; rows received.
        A process row sends once, last.
    """
    procs, distance, messages = len(rows), 1, []
    relative = (i - root) % procs
    while distance < procs:
        if relative & distance:
            messages.append(((i - distance) % procs, -1, 0))
            break
        below = range(relative + distance, min(relative + 2 * distance, procs))
        if below:
            count = sum(rows[(root + other) % procs] for other in below)
            messages.append((-1, (i + distance) % procs, min(nb, count)))
        distance *= 2
    return messages


def _eliminate(
    parts: Blocks,
    panel: Panel,
    column: Array,
    pivot_rows: _CandidateRows,
    pivots_info: Indices,
) -> bool:
    """Swap the pivot rows to the top and compute L; return whether it is bounded."""
    nb, is_root = len(panel), parts.i == panel.row
    # Of the root: the pivot rows and info; their factors, and the rows they replace.
    numbers = np.empty(nb + 1, np.int64)
    blocks = np.empty((2 * nb, nb), column.dtype)
    if is_root:
        numbers[:-1], numbers[-1] = pivot_rows.numbers, pivot_rows.info
        blocks[:nb], blocks[nb:] = pivot_rows.factors, column[:nb]
    bcast_in(parts.grid.col, numbers, panel.row)
    if numbers[-1]:
        return False
    bcast_in(parts.grid.col, blocks, panel.row)
    pivots = swaps_of(numbers[:-1])
    pivots_info[:-1], pivots_info[-1] = pivots, 0
    rows = panel_rows(parts, parts.i, panel.k.start)
    order = permutation_of(parts.rows.n - panel.k.start, 0, pivots)[rows]
    displaced = np.flatnonzero((order < nb) & (rows >= nb))
    column[displaced] = blocks[nb + order[displaced]]
    if is_root:
        column[:nb] = blocks[:nb]
    below = column[nb:] if is_root else column
    solve_columns(np.ascontiguousarray(blocks[:nb].conj().T), below, lower=True)
    largest = np.array([np.abs(below).max(initial=0)], np.float64)
    parts.grid.col.Allreduce(MPI.IN_PLACE, largest, MPI.MAX)
    return bool(largest[0] <= MAX_MULTIPLIER)  # not if it is NaN
