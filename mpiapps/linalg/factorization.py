"""Shared parts of the factorisations: square block-cyclic blocks and panels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from operator import index
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.device.arrays import array_module, like, on_device, to_host
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.block_messages import bcast_in
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import flop_weight, refuse_masks
from mpiapps.linalg.grid import ProcessGrid, grid_of
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.product_choice import REDISTRIBUTION_PASSES, Cost
from mpiapps.linalg.workspace import Workspace

Pivoting = Literal["partial", "tournament"]


@dataclass(frozen=True)
class Panel:
    """One panel (block column) of a factorisation.

    Attributes
    ----------
    k : range
        Global indices of its columns, and of the rows of its diagonal block.
    row, col : int
        The process row and column of the diagonal block.
    """

    k: range
    row: int
    col: int

    def __len__(self) -> int:
        """Return the panel width."""
        return len(self.k)


@dataclass(frozen=True)
class PartialFactorization:
    """A factorisation between two panels, in square block-cyclic blocks.

    Attributes
    ----------
    matrix : DistMatrix, n x n
        Factors and trailing matrix. The factorisation goes on in this object: copy or
        write it, do not keep a reference.
    done : int
        Number of factorised columns.
    rows : ndarray of int64, shape (n,), optional
        For LU: the row permutation, as `lu.LU.rows`.
    pivoting : {"partial", "tournament"}, optional
        For LU: as of `lu.lu`.
    """

    matrix: DistMatrix
    done: int = 0
    rows: npt.NDArray[np.int64] | None = None
    pivoting: Pivoting | None = None

    @property
    def block(self) -> int:
        """Block size; `resume` needs the same."""
        return self.matrix.layout.rows.block


# Called on all ranks between two panels; may save the factorisation for `resume`, or
# raise.
PanelCallback = Callable[[PartialFactorization], None]
TrailingUpdate = Callable[[int, int], None]
Started = TypeVar("Started")
_NONE = np.empty((0, 2), np.int64)
# Of a panel on several ranks: its messages, and the Python calls around them.
PANEL_SECONDS = 3e-4


def block_for(n: int, size: int) -> int:
    """Return the block size for factorising n x n on `size` ranks. Local.

    Wide enough for BLAS, with several blocks per rank for load balance.
    """
    width = -(-n // (4 * max(1, int(size**0.5))))
    return max(1, min(256, -(-width // 32) * 32))


def factor_flops(n: int) -> float:
    """Return the flops of LU; `square_blocks` decides by them for Cholesky, too."""
    return 2 / 3 * n**3


def on_one_rank(a: DistMatrix, flops: float, columns: int = 0) -> bool:
    """Return whether rank 0 alone is estimated to be faster than all ranks. Local.

    Parameters
    ----------
    a : DistMatrix, n x n
        To be factorised, or a triangle.
    flops : float
        Of the whole operation.
    columns : int
        Of right sides, which are moved to the ranks that compute, and back.
    """
    return one_rank_is_faster(a.layout, a.comm.size, a.dtype, flops, columns)


def one_rank_is_faster(
    layout: Layout, size: int, dtype: np.dtype[Any], flops: float, columns: int = 0
) -> bool:
    """Return the answer of `on_one_rank` for a matrix in a layout. Local."""
    n = layout.shape[0]
    if size == 1:
        return True
    moved = REDISTRIBUTION_PASSES * n * (n + 2 * columns)
    is_there = layout.grid == (1, 1)
    panels, itemsize = -(-n // block_for(n, size)), dtype.itemsize
    flops *= flop_weight(dtype)
    one = Cost(flops, 0 if is_there else moved, size - 1)
    many = Cost(flops / size, moved / size, size - 1)
    return one.seconds(itemsize) < many.seconds(itemsize) + panels * PANEL_SECONDS


def square_blocks(
    a: DistMatrix,
    block: int | None,
    call: str,
    *,
    lower: bool = False,
    width: Callable[[int, int], int] = block_for,
) -> DistMatrix:
    """Return a copy of the square matrix A, in the layout to factorise. Collective.

    Square block-cyclic blocks, or all elements on one rank if `block` is ``None`` and
    `on_one_rank`.

    Parameters
    ----------
    a : DistMatrix, n x n
    block : int or None
    call : str
        Name of the calling function, compared over the ranks.
    lower : bool
        Do not check the elements above the diagonal.
    width : callable
        Returns the block size for n and the number of ranks.

    Raises
    ------
    TypeError, ValueError
        On all ranks, if A is not square or holds a NaN or an infinity, or the ranks
        disagree.
    """
    with raise_together(a.comm) as same:
        block = None if block is None else index(block)
        same(call, a, block)
        refuse_masks(call, a.dtype)
        check_square(a, lower=lower)
    n = a.shape[0]
    if block is None and on_one_rank(a, factor_flops(n)):
        return a._redistributed(Layout.on_one(a.shape, 0))
    return a._redistributed(
        Layout.cyclic((n, n), a.comm.size, block or width(n, a.comm.size))
    )


def check_square(a: DistMatrix, *, lower: bool = False) -> None:
    """Raise `ValueError` if A is not square or its local block not finite. Local.

    With `lower`, elements above the diagonal are not checked.
    """
    m, n = a.shape
    if m != n:
        raise ValueError(f"the matrix is {m} x {n}; expected a square matrix")
    check_finite(a, lower=lower)


def check_finite(a: DistMatrix, *, lower: bool = False) -> None:
    """Raise `ValueError` if A's local block holds a NaN or an infinity. Local.

    With `lower`, elements above the diagonal are not checked.
    """
    # A finite sum needs no search: it has finite terms only.
    module = array_module(a.local)
    finite = module.isfinite(a.local.sum())
    bad = _NONE if finite else to_host(module.argwhere(~module.isfinite(a.local)))
    if lower:
        bad = bad[a.row_indices[bad[:, 0]] >= a.col_indices[bad[:, 1]]]
    if bad.size:
        i, j = a.row_indices[bad[0, 0]], a.col_indices[bad[0, 1]]
        value = a.local[tuple(bad[0])]
        raise ValueError(f"element ({i}, {j}) is {value}; all must be finite")


def panels(axis: Axis, grid: tuple[int, int], start: int = 0) -> Iterator[Panel]:
    """Yield the panels of a matrix, given the axis of its columns. Local."""
    for number, first in enumerate(range(0, axis.n, axis.block)):
        if first < start:
            continue
        k = range(first, min(first + axis.block, axis.n))
        yield Panel(k, number % grid[0], number % grid[1])


def factorise_panels(
    parts: Blocks,
    done: int,
    start: Callable[[Panel], Started],
    finish: Callable[[Panel, Started], TrailingUpdate],
) -> None:
    """Factorise the panels from column `done` on, one panel ahead. Collective.

    Parameters
    ----------
    start : callable
        Start the factorisation and the broadcast of a panel.
    finish : callable
        Wait for a panel; return the function that updates columns ``left`` to ``right``
        of the trailing matrix.
    """
    pending = list(panels(parts.cols, parts.matrix.layout.grid, done))
    coming = [start(panel) for panel in pending[:1]]
    for panel, ahead in zip_longest(pending, pending[1:]):
        update = finish(panel, coming.pop())
        if ahead is not None:
            stop = parts.cols_from(ahead.k.stop)
            update(parts.cols_from(ahead.k.start), stop)
            coming.append(start(ahead))
            update(stop, parts.local.shape[1])


def gather_rows(
    comm: MPI.Intracomm,
    owner: npt.NDArray[np.int64],
    copy: Callable[[npt.NDArray[np.int64], Array], None],
    rows: Array,
    workspace: Workspace,
) -> None:
    """Fill `rows` on all ranks, each from its owner. Collective.

    ``copy(numbers, out)`` copies the rows of these numbers on their owner.
    """
    for root in range(comm.size):
        numbers = np.flatnonzero(owner == root)
        is_all = numbers.size == owner.size
        piece = rows
        if not is_all:
            piece = workspace.get("piece", numbers.size, rows.shape[1])
        if root == comm.rank:
            copy(numbers, piece)
        bcast_in(comm, piece, root)
        if not is_all:
            rows[like(rows, numbers)] = piece


class Blocks:
    """A matrix in square blocks, with its process grid and local indices."""

    def __init__(self, a: DistMatrix) -> None:
        """Wrap a result of `square_blocks`. Collective."""
        self.matrix, self.local = a, a.local
        self.rows, self.cols = a.layout.rows, a.layout.cols
        self.grid: ProcessGrid = grid_of(a.comm, a.layout)
        self.inside = self.grid.coords is not None
        self.i, self.j = self.grid.coords or (-1, -1)

    def rows_from(self, index: int) -> int:
        """Return the local index of this rank's first row from `index` on. Local."""
        return self.rows.count_below(index, self.i)

    def column(self, panel: Panel) -> Array:
        """Return the panel from its diagonal block on, a view, on its owners. Local."""
        left = self.cols.local(panel.k.start)
        return self.local[self.rows_from(panel.k.start) :, left : left + len(panel)]

    def cols_from(self, index: int) -> int:
        """Return the local index of this rank's first column from `index` on. Local."""
        return self.cols.count_below(index, self.j)


def copy_rows(source: Array, rows: npt.NDArray[np.int64], out: Array) -> None:
    """Set `out` to the `rows` of `source`. Local."""
    if on_device(source):
        out[...] = source[like(source, rows)]
    else:
        np.take(source, rows, axis=0, out=out, mode="clip")  # unbuffered
