"""Row permutations of an LU factorisation, panel by panel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.device.arrays import like, on_device
from mpiapps.kernels.lapack import order_after_swaps
from mpiapps.linalg.block_messages import exchange
from mpiapps.linalg.factorization import Blocks, Panel, copy_rows
from mpiapps.linalg.workspace import Workspace

Indices = npt.NDArray[np.int64]


def permutation_of(n: int, start: int, pivots: Indices) -> Indices:
    """Return the row permutation of a panel's swaps from row `start` on."""
    order = np.arange(n, dtype=np.int64)
    if pivots.size:
        order[start:] = start + order_after_swaps(n - start, pivots)
    return order


def swaps_of(rows: Indices) -> Indices:
    """Return the row swapped with each row (getrf's ipiv) to make `rows` the first."""
    row_at: dict[int, int] = {}  # position -> row, and row -> position, if moved
    position_of: dict[int, int] = {}
    pivots = np.empty(rows.size, np.int64)
    for position, row in enumerate(rows.tolist()):
        other, displaced = position_of.get(row, row), row_at.get(position, position)
        pivots[position] = other
        row_at[other], position_of[displaced] = displaced, other
    return pivots


def swap_rows(
    parts: Blocks, order: Indices, panel: Panel, workspace: Workspace
) -> None:
    """Permute the rows outside the panel. Collective in the process column.

    Parameters
    ----------
    order : ndarray of int64, (n,)
        Result of `permutation_of` for this panel: each row that moves comes from the
        rows of the diagonal block, or goes there.

    Notes
    -----
    The rank of the diagonal block's rows exchanges one message with each other rank of
    the process column that has such rows, with as many rows in both directions.
    """
    moved = np.flatnonzero(order != np.arange(order.size))
    width = parts.local.shape[1]
    spans = [slice(0, width)]
    if parts.j == panel.col:  # the panel is permuted already
        left = parts.cols.local(panel.k.start)
        spans = [slice(0, left), slice(left + len(panel), width)]
    for span in spans:
        _swap_in(parts, panel.row, (moved, order[moved]), span, workspace)


def _swap_in(
    parts: Blocks,
    diagonal: int,
    moves: tuple[Indices, Indices],
    span: slice,
    workspace: Workspace,
) -> None:
    """Permute rows of some columns; `diagonal` is the process row of the panel."""
    local, axis = parts.local[:, span], parts.rows
    to, source = (axis.owner(rows) for rows in moves)
    into, own = (axis.local(rows) for rows in moves)

    def copied(name: str, which: Indices) -> Array:
        rows = workspace.get(name, which.size, local.shape[1])
        _get_rows(local, own[which], rows)
        return rows

    def exchanged(out: Array, other: int) -> Array:
        rows = workspace.get("into", *out.shape)
        if rows.size:
            exchange(parts.grid.col, other, out, other, rows)
        return rows

    if parts.i != diagonal:
        out = copied("out", np.flatnonzero(source == parts.i))
        _set_rows(local, into[np.flatnonzero(to == parts.i)], exchanged(out, diagonal))
        return
    # All rows are read before one is written.
    kept = np.flatnonzero((source == diagonal) & (to == diagonal))
    inside = copied("inside", kept)
    leaving = np.flatnonzero((source == diagonal) & (to != diagonal))
    leaving = leaving[np.argsort(to[leaving], kind="stable")]
    out = copied("out", leaving)
    _set_rows(local, into[kept], inside)
    first = 0
    counts = np.bincount(to[leaving], minlength=axis.procs)
    for other in np.flatnonzero(counts).tolist():
        sent = out[first : first + int(counts[other])]
        _set_rows(local, into[np.flatnonzero(source == other)], exchanged(sent, other))
        first += len(sent)


def _get_rows(local: Array, numbers: Indices, out: Array) -> None:
    """Set `out` to rows of `local`. Local."""
    if on_device(local):
        copy_rows(local, numbers, out)
        return
    # Row by row: indexing by an array would copy twice.
    for number, row in enumerate(numbers.tolist()):
        out[number] = local[row]


def _set_rows(local: Array, numbers: Indices, rows: Array) -> None:
    """Set rows of `local`. Local."""
    if on_device(local):
        local[like(local, numbers)] = rows
        return
    for number, row in enumerate(numbers.tolist()):
        local[row] = rows[number]
