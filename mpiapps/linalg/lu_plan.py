"""What an LU factorisation sends, for given pivots; needs no data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from mpiapps.linalg import lu_panel
from mpiapps.linalg.factorization import Panel, panels
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.operation_plan import Problem
from mpiapps.linalg.row_swaps import permutation_of
from mpiapps.linalg.traffic import Traffic

INDEX = 8  # bytes of a pivot
LARGEST = 8  # bytes of the largest element of L
# Returns getrf's ipiv of a panel, from 0 and relative to the panel.
Pivots = Callable[[Panel], npt.NDArray[np.int64]]


def random_pivots(n: int) -> Pivots:
    """Return the pivots of an n x n matrix of random elements, the same on all ranks.

    The largest element of a column is in any of the remaining rows with the same
    probability.
    """

    def pivots(panel: Panel) -> npt.NDArray[np.int64]:
        first = np.arange(len(panel))
        rng = np.random.default_rng(panel.k.start)
        return rng.integers(first, n - panel.k.start)

    return pivots


def send_lu(
    traffic: Traffic, problem: Problem, pivots: Pivots, first_panels: int | None = None
) -> None:
    """Add what `lu` sends, if it uses all ranks: all panels, or the first."""
    n, size = problem.n, traffic.size
    layout = Layout.cyclic((n, n), size, lu_panel.block_for_lu(n, size))
    traffic.move(problem.layout, layout, problem.itemsize)
    for panel in list(panels(layout.rows, layout.grid))[:first_panels]:
        _Panel(traffic, layout, panel, problem.itemsize).send(pivots(panel))


class _Panel:
    """The messages of one panel."""

    def __init__(
        self, traffic: Traffic, layout: Layout, panel: Panel, itemsize: int
    ) -> None:
        self._traffic, self._layout, self._panel = traffic, layout, panel
        self._itemsize = itemsize
        (p, q), rows, cols = layout.grid, layout.rows, layout.cols
        self._i, self._j = i, j = divmod(traffic.rank, q)
        start, stop = panel.k.start, panel.k.stop
        self._remaining = lu_panel.rows_from(rows, start)
        self._left = cols.count_below(start, j)
        self._right = cols.count(j) - cols.count_below(stop, j)
        self._groups = {"row": (i * q, q, 1), "column": (j, p, q)}

    def send(self, pivots: npt.NDArray[np.int64]) -> None:
        """Add them, and the computation between them."""
        panel, z, nb = self._panel, self._itemsize, len(self._panel)
        if self._j == panel.col:
            with self._in("column") as column:
                self._factorise(column)
        root = panel.row * self._layout.grid[1] + panel.col
        self._traffic.broadcast((nb + 1) * INDEX, root)
        with self._in("row") as row:
            row.broadcast(self._remaining[self._i] * nb * z, panel.col)
        self._swap(pivots)
        if self._i == panel.row:
            self._traffic.compute(nb * nb * self._right)
        with self._in("column") as column:
            column.broadcast(nb * self._right * z, panel.row)
        below = self._remaining[self._i] - (nb if self._i == panel.row else 0)
        self._traffic.compute(2 * below * nb * self._right)

    @contextmanager
    def _in(self, name: str) -> Iterator[Traffic]:
        """Add what is added to the traffic in the row or column of processes."""
        group = self._traffic.group(*self._groups[name])
        yield group
        self._traffic.include(group)

    def _factorise(self, column: Traffic) -> None:
        """Factorise the panel, on all ranks of the process column or on one."""
        nb, rows = len(self._panel), sum(self._remaining)
        if lu_panel.tournament_is_faster(rows, nb, len(self._remaining)):
            self._choose_pivot_rows(column)
        else:
            self._gather(column)

    def _choose_pivot_rows(self, column: Traffic) -> None:
        """Choose the pivots in a tournament, and broadcast their factors."""
        nb, root, z = len(self._panel), self._panel.row, self._itemsize
        own = self._remaining[self._i]
        column.compute(nb * nb * own)
        best = min(nb, own)
        messages = lu_panel.reduction_tree(self._i, root, self._remaining, nb)
        for dest, source, count in messages:
            for size in (nb * z, INDEX):
                if dest >= 0:
                    column.swap(dest, best * size, dest, 0)
                else:
                    column.swap(source, 0, source, count * size)
            if count:
                column.compute(lu_panel.choice_flops(best + count, nb))
            best = min(nb, best + count)
        column.broadcast((nb + 1) * INDEX, root)
        column.broadcast(2 * nb * nb * z, root)
        column.compute(nb * nb * own)
        column.all_reduce(LARGEST)

    def _gather(self, column: Traffic) -> None:
        """Gather the panel on the rank of its diagonal block, and scatter it."""
        nb, root = len(self._panel), self._panel.row
        sizes = [rows * nb * self._itemsize for rows in self._remaining]
        if self._i != root:
            own = sizes[self._i]
            column.swap(root, own, root, 0)
            column.swap(root, 0, root, own)
            return
        others = [other for other in range(len(sizes)) if other != root]
        for other in others:
            column.swap(other, 0, other, sizes[other])
        column.compute(nb * nb * sum(self._remaining))
        for other in others:
            column.swap(other, sizes[other], other, 0)

    def _swap(self, pivots: npt.NDArray[np.int64]) -> None:
        """Exchange the rows that are swapped, outside the panel."""
        rows, diagonal = self._layout.rows, self._panel.row
        order = permutation_of(rows.n, self._panel.k.start, pivots)
        counts = np.bincount(
            rows.owner(order[self._panel.k.start : self._panel.k.stop]),
            minlength=rows.procs,
        ).tolist()
        width = self._layout.cols.count(self._j)
        is_own = self._j == self._panel.col  # the panel is permuted already
        pairs = (
            [(i, counts[i]) for i in range(rows.procs) if i != diagonal]
            if self._i == diagonal
            else [(diagonal, counts[self._i])]
        )
        for columns in (self._left, self._right) if is_own else (width,):
            with self._in("column") as column:
                for other, count in pairs:
                    size = count * columns * self._itemsize
                    column.swap(other, size, other, size)
