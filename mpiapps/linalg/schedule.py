"""The schedule of a product, without data: used to run it and to estimate its cost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mpiapps.linalg.axis import Axis
from mpiapps.linalg.grid_choice import Grid
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.product_choice import SUM, SUMMA, WIDTH, Choice, Layouts


@dataclass(frozen=True)
class Step:
    """One step of one rank of a multiplication.

    Attributes
    ----------
    op : {"bcast", "allgather", "gemm", "sum", "exchange"}
    comm : {"row", "col", "fibre", "all", ""}
        Communicator: ranks with the same rows of C, the same columns, the same
        block, or all ranks; empty for gemm.
    root : int
        Root of a broadcast.
    k : range
        Columns of A, rows of B.
    received, flops : int
        Elements that this rank receives, and its floating-point operations.
    size : int
        Elements that are broadcast or gathered, those of this rank included.
    """

    op: str
    comm: str = ""
    root: int = 0
    k: range = range(0)
    received: int = 0
    flops: int = 0
    size: int = 0


@dataclass(frozen=True)
class GridPosition:
    """Position (i, j) of a rank in a layer of the grid, of shape (rows, cols).

    Its local block of C has the shape (m, n).
    """

    i: int
    j: int
    rows: int
    cols: int
    m: int
    n: int


def summa(
    a: Axis, b: Axis, slab: range, position: GridPosition, width: int = WIDTH
) -> Iterator[list[Step]]:
    """Yield the panels of SUMMA with C stationary, for one rank.

    A panel is broadcasts of columns of A along grid rows and of rows of B along grid
    columns, and one gemm. van de Geijn, Watts: SUMMA: scalable
    universal matrix multiplication algorithm, Concurrency 9 (1997).

    Parameters
    ----------
    a, b : Axis
        The columns of A and the rows of B.
    slab : range
        The range of k of this layer.
    width : int
        Minimum panel width; the last panel may be narrower.
    """
    if position.rows == position.cols == 1:  # no communication: one product
        width = max(1, len(slab))
    steps: list[Step] = []
    first = k = slab.start
    while k < slab.stop:
        stop = min(_end(a, k), _end(b, k), slab.stop, first + width)
        part = range(k, stop)
        left, top = a.owner(k) % position.cols, b.owner(k) % position.rows
        size = position.m * len(part)
        received = 0 if left == position.j else size
        steps.append(Step("bcast", "row", left, part, received, size=size))
        size = position.n * len(part)
        received = 0 if top == position.i else size
        steps.append(Step("bcast", "col", top, part, received, size=size))
        k = stop
        if k - first >= width or k == slab.stop:
            whole = range(first, k)
            flops = 2 * position.m * position.n * len(whole)
            steps.append(Step("gemm", k=whole, flops=flops))
            yield steps
            first, steps = k, []


def _end(axis: Axis, index: int) -> int:
    """Return the end of the contiguous indices of the owner of `index`."""
    if axis.procs == 1:
        return axis.n
    return (index // axis.block + 1) * axis.block


def product(
    choice: Choice, rank: int, size: int, *, gram: bool = False
) -> Iterator[list[Step]]:
    """Yield the steps of one of `size` ranks, without redistribution of A and B."""
    (a, b, c), grid = choice.layouts, choice.grid
    rows, cols = c.local_shape(rank)
    if choice.algorithm == SUMMA:
        yield from summa_product(grid, choice.layouts, rank)
        if gram:  # with the ranks of the transposed block
            kept = math.prod(exchanged_shape(c, rank, c.T, rank))
            received = math.prod(c.local_shape(rank)) - kept
            yield [Step("exchange", "all", received=received)]
        return
    operands = list(zip(choice.replicated, (a, b), strict=True))
    for whole, x in operands[gram:]:  # a Gram matrix has one, as its right operand
        if whole and size > 1:
            total = math.prod(x.shape)
            received = total - math.prod(x.local_shape(rank))
            yield [Step("allgather", "all", received=received, size=total)]
    if rank not in c.ranks:
        return
    m, n, k = rows, cols, a.cols.n
    if choice.algorithm == SUM:
        m, n, k = a.rows.n, b.cols.n, a.local_shape(rank)[1]
    elif gram:
        m, n = c.shape
    yield [Step("gemm", k=range(k), flops=(2 - gram) * m * n * k)]
    if choice.algorithm == SUM and grid.pk > 1:
        received = rows * cols * (grid.pk - 1)
        yield [Step("sum", "fibre", received=received, flops=received)]


def comm_sizes(grid: Grid, size: int) -> dict[str, int]:
    """Return the number of ranks of each communicator that `Step.comm` names."""
    return {"row": grid.pn, "col": grid.pm, "fibre": grid.pk, "all": size}


def exchanged_shape(new: Layout, rank: int, old: Layout, other: int) -> tuple[int, int]:
    """Return the shape of the elements that `rank` receives from `other`."""
    to, source = new.coords(rank), old.coords(other)
    if to is None or source is None:
        return 0, 0
    return (
        new.rows.common(to[0], old.rows, source[0]),
        new.cols.common(to[1], old.cols, source[1]),
    )


def summa_product(grid: Grid, layouts: Layouts, rank: int) -> Iterator[list[Step]]:
    """Yield all panels of one rank on a grid, and the sum over the layers.

    `layouts` is the result of ``grid.layouts``; a rank outside the grid has no steps.
    """
    if rank >= grid.size:
        return
    a, b, c = layouts
    layer, rest = divmod(rank, grid.pm * grid.pn)
    i, j = divmod(rest, grid.pn)
    m = a.rows.count(i)
    position = GridPosition(i, j, grid.pm, grid.pn, m, b.cols.count(j))
    yield from summa(a.cols, b.rows, slab(grid, a, layer), position)
    if grid.pk > 1:
        rows, cols = c.local_shape(rank)
        received = rows * cols * (grid.pk - 1)
        yield [Step("sum", "fibre", received=received, flops=received)]


def slab(grid: Grid, a: Layout, layer: int) -> range:
    """Return the range of k of a layer of the grid."""
    k = a.cols.n
    width = a.cols.block * grid.pn if grid.pk > 1 else k
    return range(min(layer * width, k), min((layer + 1) * width, k))
