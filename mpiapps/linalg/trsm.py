"""Distributed trsm: blocked forward and back substitution."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.device.arrays import array_module, to_host
from mpiapps.kernels.blas import add_product, solve_rows
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.block_messages import bcast_in
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.factorization import (
    PANEL_SECONDS,
    Blocks,
    Panel,
    block_for,
    on_one_rank,
    panels,
)
from mpiapps.linalg.layout import BLOCK, Layout
from mpiapps.linalg.matrix_operands import accept_arrays, of_matrix
from mpiapps.linalg.multiply import OPS
from mpiapps.linalg.operands import check_memory
from mpiapps.linalg.product_choice import REDISTRIBUTION_PASSES, Cost


@of_matrix
@accept_arrays
def solve_triangular(
    a: DistMatrix,
    b: DistMatrix,
    *,
    lower: bool = True,
    op: str = "N",
    unit: bool = False,
) -> DistMatrix:
    """Return X, in the layout of B, with ``op(A) X = B``, A triangular. Collective.

    Parameters
    ----------
    a : DistMatrix, n x n
        The other triangle is not read.
    b : DistMatrix, n x r, or an array that is the same on all ranks
        Not changed. The solution for a vector is a vector on every rank.
    lower : bool
        Use the lower triangle of A.
    op : {"N", "T", "H"}
    unit : bool
        Assume a unit diagonal.

    Raises
    ------
    numpy.linalg.LinAlgError
        On all ranks, if a diagonal element is zero.
    ValueError
        On all ranks, if the shapes do not match, or one matrix is on devices and the
        other is not.

    Notes
    -----
    On a p x q grid each rank receives ``n^2/2p + n r/q`` elements, in three messages
    per panel. With few right sides, A in contiguous rows stays where it is: ``n r``
    elements, in three messages per rank; unless `op` is N, in one and an all-reduce. So
    does A on one rank, unless `op` is N.
    """
    (m, n), (rows, _) = a.shape, b.shape
    with raise_together(a.comm) as same:
        same("solve_triangular", a, b, bool(lower), op, bool(unit))
        a.check_comm(b)
        refuse_masks("solve_triangular", a.dtype, b.dtype)
        check_memory(a, b)
        if op not in OPS:
            raise ValueError(f"op {op!r} is not one of {', '.join(OPS)}")
        if m != n or rows != n:
            raise ValueError(
                f"cannot solve {m} x {n} for {b.shape[0]} x {b.shape[1]}; expected a"
                " square A with as many rows as B"
            )
    transposes = op != "N" and not a.is_on_device
    stays = transposes and a.layout.grid == (1, 1)
    stays |= _stays(a, b.shape[1]) and (transposes or op == "N")
    if op != "N" and not stays:  # the transpose has the other triangle
        transposed = a.T if op == "T" else a.H
        return solve_triangular(transposed, b, lower=not lower, unit=unit)
    layout = _in_blocks(a.layout) if stays else _layout_of(a, b.shape[1])
    dtype = np.result_type(a.dtype, b.dtype)
    parts = Blocks(_in_layout(a, layout, dtype))
    x = b if b.dtype == dtype else b.astype(dtype)
    x = x.redistribute(_right_side_layout(layout, b.shape[1]))
    zero = -1
    if parts.inside and op != "N":
        zero = _solve_in_turn(parts, x.local, lower=lower, op=op, unit=unit)
    elif parts.inside:
        order = list(panels(parts.rows, layout.grid))
        for panel in order if lower else order[::-1]:
            zero = _step(parts, x.local, panel, lower=lower, unit=unit)
            if zero >= 0:
                break
    zero = a.comm.bcast(zero, root=layout.ranks[0])
    if zero >= 0:
        raise np.linalg.LinAlgError(
            f"the matrix is singular: element ({zero}, {zero}) of its triangle is zero"
        )
    return x if x.layout == b.layout else x.redistribute(b.layout)


@of_matrix
def inverse_of_lower(a: DistMatrix, *, unit: bool = False) -> DistMatrix:
    """Return the inverse of a lower triangle without zeros on its diagonal. Collective.

    In the layout in which `solve_triangular` solves with A for n right sides.

    Parameters
    ----------
    a : DistMatrix, n x n
        In host memory; the upper triangle is not read.
    unit : bool
        Assume a unit diagonal.

    Notes
    -----
    With A in many panels, a third of the flops of `solve_triangular` for n right sides,
    as columns right of a panel are still zero. As many messages.
    """
    layout = _layout_of(a, a.shape[0])
    right_layout = _right_side_layout(layout, a.shape[0])
    x = DistMatrix.eye(a.comm, a.shape[0], a.dtype, right_layout)
    check_memory(a, x)
    parts = Blocks(_in_layout(a, layout, a.dtype))
    if parts.inside:
        for panel in panels(parts.rows, layout.grid):
            width = right_layout.cols.count_below(panel.k.stop, parts.j)
            _step(parts, x.local[:, :width], panel, lower=True, unit=unit)
    return x


def _in_layout(a: DistMatrix, layout: Layout, dtype: np.dtype[Any]) -> DistMatrix:
    """Return A in a layout and dtype, without a copy if it is there. Collective."""
    if layout.matches(a.layout):
        same = layout == a.layout
        a = a if same else DistMatrix(a.comm, layout, a.local)
    else:
        a = a._redistributed(layout)
    return a if a.dtype == dtype else a.astype(dtype)


def _right_side_layout(layout: Layout, columns: int) -> Layout:
    """Return the layout of right sides for A in `layout`. Local."""
    (n, _), nb, (p, q) = layout.shape, layout.rows.block, layout.grid
    across = max(1, min(nb, -(-columns // q)))
    return Layout(Axis(n, nb, p), Axis(columns, across, q), layout.ranks)


def _layout_of(a: DistMatrix, columns: int) -> Layout:
    """Return the layout of A for so many right sides. Local."""
    n, size, old = a.shape[0], a.comm.size, a.layout
    if on_one_rank(a, n * n * columns, columns):
        return old if old.grid == (1, 1) else Layout.on_one(a.shape, 0)
    return old if _is_ready(old) else Layout.cyclic(a.shape, size, block_for(n, size))


def _is_ready(layout: Layout) -> bool:
    """Return whether several ranks solve with a matrix in this layout."""
    blocks = layout.rows.block, layout.cols.block
    return blocks[0] == blocks[1] <= BLOCK and layout.grid != (1, 1)


def panel_width(layout: Layout, size: int) -> int:
    """Return the width of the panels in which several ranks solve. Local."""
    return layout.rows.block if _is_ready(layout) else block_for(layout.shape[0], size)


def _in_blocks(rows: Layout) -> Layout:
    """Return contiguous rows with square blocks, as high as those of the ranks."""
    return Layout(rows.rows, Axis(rows.shape[0], rows.rows.block, 1), rows.ranks)


def _stays(a: DistMatrix, columns: int) -> bool:
    """Return whether A in contiguous rows is used where it is. Local.

    The ranks then solve one after another; with few right sides that takes less time
    than to move A.
    """
    n, size, (p, q) = a.shape[0], a.comm.size, a.layout.grid
    if q > 1 or p == 1 or not a.layout.rows.is_contiguous:
        return False
    flops, itemsize = n * n * columns, a.dtype.itemsize
    one_by_one = Cost(flops, n * n // 2, 3 * p)
    moved = Cost(flops / size, REDISTRIBUTION_PASSES * n * n / size, size - 1)
    panels_time = -(-n // block_for(n, size)) * PANEL_SECONDS
    return one_by_one.seconds(itemsize) < moved.seconds(itemsize) + panels_time


def _solve_in_turn(parts: Blocks, x: Array, *, lower: bool, op: str, unit: bool) -> int:
    """Solve ``op(A) X = B`` for T or H, A in contiguous rows. Collective in the column.

    Each rank solves for its rows of X, and sends what they add to the rows of the ranks
    that follow. Return the row of a zero on the diagonal, or -1. Not on devices.

    Cost: an all-reduce, and one message of up to ``n r`` elements per rank.
    """
    n, comm = parts.rows.n, parts.grid.col
    start = min(n, parts.i * parts.rows.block)
    own = slice(start, start + len(x))
    following = slice(0, start) if lower else slice(own.stop, n)
    before, after = parts.i + 1, parts.i - 1  # op(A) is an upper triangle if A is lower
    if not lower:
        before, after = after, before
    zeros = np.flatnonzero(np.diagonal(parts.local[:, own]) == 0)
    first_zero = start + int(zeros[0]) if zeros.size and not unit else n
    zero: int = comm.allreduce(first_zero, op=MPI.MIN)
    if zero < n:
        return zero
    sums = np.zeros((len(x) + following.stop - following.start, x.shape[1]), x.dtype)
    if 0 <= before < comm.size:
        comm.Recv(sums, source=before)
    # Of `sums`, this rank's rows are next to those of the ranks before.
    own_sums = slice(following.stop, None) if lower else slice(0, len(x))
    others = slice(0, following.stop) if lower else slice(len(x), None)
    x -= sums[own_sums]
    solve_rows(parts.local[:, own], x, lower=lower, unit=unit, op=op)
    if 0 <= after < comm.size:
        add_product(sums[others], parts.local[:, following], x, 1, op_a=op)
        comm.Send(sums[others], dest=after)
    return -1


def _step(parts: Blocks, x: Array, panel: Panel, *, lower: bool, unit: bool) -> int:
    """Solve for one block of rows and update the other rows. Collective in the grid.

    Return the row of a zero on the diagonal, or -1.
    """
    nb, k = len(panel), panel.k
    left = parts.cols.local(k.start)
    if lower:
        part = slice(parts.rows_from(k.start), parts.local.shape[0])
    else:
        part = slice(0, parts.rows_from(k.stop))
    module = array_module(parts.local)
    column = parts.local[part, left : left + nb]
    if parts.grid.row.size > 1:
        if parts.j == panel.col:
            column = module.ascontiguousarray(column)
        else:
            column = module.empty((part.stop - part.start, nb), column.dtype)
        bcast_in(parts.grid.row, column, panel.col)
    # The diagonal block is first in forward, last in back substitution.
    height, own = len(column), nb if parts.i == panel.row else 0
    rest = slice(own, height) if lower else slice(0, height - own)
    top = parts.rows.local(k.start)
    solved = module.empty((nb, x.shape[1]), x.dtype)
    zero = np.full(1, -1, np.int64)
    if parts.i == panel.row:
        corner = column[:nb] if lower else column[height - nb :]
        at = np.flatnonzero(to_host(module.diagonal(corner)) == 0)
        if at.size and not unit:
            zero[0] = k.start + at[0]
        solve_rows(corner, x[top : top + nb], lower=lower, unit=unit)
        solved[...] = x[top : top + nb]
    bcast_in(parts.grid.col, zero, panel.row)
    if zero[0] >= 0:
        return int(zero[0])
    bcast_in(parts.grid.col, solved, panel.row)
    add_product(x[part][rest], column[rest], solved, -1)
    return -1
