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
from mpiapps.linalg.block_messages import bcast_in, recv, send
from mpiapps.linalg.factorization import Blocks, Panel, block_for
from mpiapps.linalg.product_choice import Cost
from mpiapps.linalg.row_swaps import permutation_of, swaps_of
from mpiapps.linalg.workspace import Workspace

Indices = npt.NDArray[np.int64]


ITEMSIZE = 8  # bytes, of the estimates
LEAST_PROCS = 4  # process rows, from which a tournament saves enough


def block_for_lu(n: int, size: int) -> int:
    """Return the block size for LU of n x n on `size` ranks. Local.

    As `block_for`, but a panel shall take less time than the update that all ranks
    make meanwhile: ``2 nb m**2 / size`` flops each, for m rows. One rank factorises a
    panel in ``nb**2 m`` flops, no longer until half of the columns are done if nb is at
    most ``n / size``. A tournament takes a fourth if nb is a 16th of a rank's columns.
    With less than 32 columns BLAS loses more than the wait costs.
    """
    procs, q = process_grid(size)
    narrow, one = (
        min(block_for(n, size), max(32, n // d // 32 * 32)) for d in (16 * q, size)
    )
    return narrow if tournament_is_faster(n, narrow, procs) else one


def tournament_flops(rows: int, nb: int, procs: int) -> float:
    """Return the flops of a rank in a tournament for a panel of rows x nb. Local."""
    rounds = (procs - 1).bit_length()
    return 2 * nb**2 * rows / procs + rounds * 5 / 3 * nb**3


def tournament_is_faster(rows: int, nb: int, procs: int) -> bool:
    """Return whether a tournament is estimated to take less time. Local.

    For a panel of rows x nb on `procs` ranks.
    """
    rounds = (procs - 1).bit_length()
    one = Cost(nb**2 * rows, 2 * rows * nb, 2 * (procs - 1))
    all_ = Cost(tournament_flops(rows, nb, procs), 3 * rounds * nb**2, 4 * rounds)
    return procs >= LEAST_PROCS and all_.seconds(ITEMSIZE) < one.seconds(ITEMSIZE)


def factorise(parts: Blocks, panel: Panel, column: Array, pivots_info: Indices) -> bool:
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
        ``False`` on all ranks if a pivot is zero; the panel is then unchanged. The best
        of all rows may have one that is not.
    """
    winners = _play(parts, panel, column)
    return _eliminate(parts, panel, column, winners, pivots_info)


def factorise_on_one(
    parts: Blocks,
    panel: Panel,
    column: Array,
    pivots_info: Indices,
    workspace: Workspace,
) -> None:
    """Factorise a panel on the rank of its diagonal block, by getrf. As `factorise`.

    `pivots_info` is set on that rank only.
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
        whole[rows] = piece
    factors, pivots_info[:-1], info = getrf(whole)
    pivots_info[-1] = panel.k.start + info if info > 0 else 0
    for other, rows in enumerate(row_indices):
        if other == parts.i:
            column[...] = factors[rows]
        elif rows.size:
            send(col, array_module(factors).ascontiguousarray(factors[rows]), other)


def panel_rows(parts: Blocks, i: int, start: int) -> Indices:
    """Return process row `i`'s rows from `start` on, relative to `start`. Local."""
    rows = parts.rows.indices(i)
    return rows[parts.rows.count_below(start, i) :] - start


class _Winners:
    """At most nb rows of a panel, the best pivots among some, and their factors."""

    def __init__(self, rows: Array, numbers: Indices, nb: int) -> None:
        """Choose among `rows`, those of the panel with these numbers."""
        self.rows, self.numbers, self.factors, self.info = rows, numbers, rows, 0
        count = min(nb, len(numbers))
        if not count:  # LAPACK refuses no rows
            return
        self.factors, pivots, self.info = getrf(rows.copy(order="F"))
        order = permutation_of(len(numbers), 0, pivots.astype(np.int64))[:count]
        self.rows, self.numbers = rows[order], numbers[order]


def _play(parts: Blocks, panel: Panel, column: Array) -> _Winners:
    """Return the best pivots of the ranks below this one in a binomial tree.

    Its root has the diagonal block.
    """
    col, nb, start = parts.grid.col, len(panel), panel.k.start
    best = _Winners(column, panel_rows(parts, parts.i, start), nb)
    left = [
        parts.rows.count(i) - parts.rows.count_below(start, i) for i in range(col.size)
    ]
    for to, source, count in matches(parts.i, panel.row, left, nb):
        if to >= 0:
            if best.numbers.size:
                send(col, best.rows, to)
                send(col, best.numbers, to)
            break
        if count:
            rows = np.empty((count, nb), column.dtype)
            numbers = np.empty(count, np.int64)
            recv(col, rows, source)
            recv(col, numbers, source)
            rows = np.concatenate([best.rows, rows])
            best = _Winners(rows, np.concatenate([best.numbers, numbers]), nb)
    return best


def matches(i: int, root: int, rows: list[int], nb: int) -> list[tuple[int, int, int]]:
    """Return the messages of a process row in a tournament. Local.

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
    """
    procs, distance, found = len(rows), 1, []
    place = (i - root) % procs
    while distance < procs:
        if place & distance:
            found.append(((i - distance) % procs, -1, 0))
            break
        below = range(place + distance, min(place + 2 * distance, procs))
        if below:
            count = sum(rows[(root + other) % procs] for other in below)
            found.append((-1, (i + distance) % procs, min(nb, count)))
        distance *= 2
    return found


def _eliminate(
    parts: Blocks,
    panel: Panel,
    column: Array,
    winners: _Winners,
    pivots_info: Indices,
) -> bool:
    """Swap the winners to the top and eliminate the columns, if no pivot is zero."""
    nb, is_root = len(panel), parts.i == panel.row
    # The winners, the info of their factors; the factors, the rows that they replace.
    numbers = np.empty(nb + 1, np.int64)
    tops = np.empty((2 * nb, nb), column.dtype)
    if is_root:
        numbers[:-1], numbers[-1] = winners.numbers, winners.info
        tops[:nb], tops[nb:] = winners.factors[:nb], column[:nb]
    bcast_in(parts.grid.col, numbers, panel.row)
    if numbers[-1]:
        return False
    bcast_in(parts.grid.col, tops, panel.row)
    pivots = swaps_of(numbers[:-1])
    pivots_info[:-1], pivots_info[-1] = pivots, 0
    rows = panel_rows(parts, parts.i, panel.k.start)
    order = permutation_of(parts.rows.n - panel.k.start, 0, pivots)[rows]
    arrived = np.flatnonzero((order < nb) & (rows >= nb))
    column[arrived] = tops[nb + order[arrived]]
    if is_root:
        column[:nb] = tops[:nb]
    below = column[nb:] if is_root else column
    solve_columns(np.ascontiguousarray(tops[:nb].conj().T), below, lower=True)
    return True
