"""What a multiplication does, step by step, without data: for runs and for plans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mpiapps.linalg.axis import Axis
from mpiapps.linalg.choose import Grid
from mpiapps.linalg.layout import Layout

WIDTH = 512  # k of a panel: updates of rank 256 and more run at BLAS's full speed


@dataclass(frozen=True)
class Step:
    """One step of one rank of a multiplication.

    Attributes
    ----------
    op : {"bcast", "gemm", "sum"}
    comm : {"row", "col", "fibre", ""}
        Among which ranks: with the same rows of C, the same columns, the same of both;
        none for arithmetic.
    root : int
        Of a broadcast: whose part it is.
    k : range
        The rows or columns that it is about.
    received : int
        Elements that this rank receives.
    flops : int
        Multiplications and additions.
    """

    op: str
    comm: str = ""
    root: int = 0
    k: range = range(0)
    received: int = 0
    flops: int = 0


@dataclass(frozen=True)
class Place:
    """Where a rank stands in its layer of a grid, and how many rows and columns of C.

    Attributes
    ----------
    i, j : int
        Its row and column in the layer.
    rows, cols : int
        The layer's shape.
    m, n : int
        Rows and columns of C that it works on.
    """

    i: int
    j: int
    rows: int
    cols: int
    m: int
    n: int


def summa(
    a: Axis, b: Axis, slab: range, place: Place, width: int = WIDTH
) -> Iterator[list[Step]]:
    """Yield the panels of SUMMA with C stationary, for one rank. Local; no messages.

    Of each panel: broadcasts of its columns of A along the rows of the grid, of its
    rows of B along the columns, and the product. van de Geijn, Watts: SUMMA: scalable
    universal matrix multiplication algorithm, Concurrency 9 (1997).

    Parameters
    ----------
    a, b : Axis
        The columns of A and the rows of B.
    slab : range
        The part of k that this layer works on.
    place : Place
    width : int
        The least k of a panel, but for the last one.
    """
    if place.rows == place.cols == 1:  # all is here: one product
        width = max(1, len(slab))
    steps: list[Step] = []
    first = k = slab.start
    while k < slab.stop:
        stop = min(_end(a, k), _end(b, k), slab.stop, first + width)
        part = range(k, stop)
        left, top = a.owner(k) % place.cols, b.owner(k) % place.rows
        got = 0 if left == place.j else place.m * len(part)
        steps.append(Step("bcast", "row", left, part, got))
        got = 0 if top == place.i else place.n * len(part)
        steps.append(Step("bcast", "col", top, part, got))
        k = stop
        if k - first >= width or k == slab.stop:
            whole = range(first, k)
            flops = 2 * place.m * place.n * len(whole)
            steps.append(Step("gemm", k=whole, flops=flops))
            yield steps
            first, steps = k, []


def _end(axis: Axis, index: int) -> int:
    """Return where the run of one owner that holds `index` ends."""
    if axis.procs == 1:
        return axis.n
    return (index // axis.block + 1) * axis.block


Layouts = tuple[Layout, Layout, Layout]


def product(grid: Grid, layouts: Layouts, rank: int) -> Iterator[list[Step]]:
    """Yield all panels of one rank on a grid, and the sum over its layers. Local.

    `layouts` are those of ``grid.layouts``; a rank outside the grid has no steps.
    """
    if rank >= grid.size:
        return
    a, b, c = layouts
    layer, rest = divmod(rank, grid.pm * grid.pn)
    i, j = divmod(rest, grid.pn)
    m = a.rows.count(i)
    place = Place(i, j, grid.pm, grid.pn, m, b.cols.count(j))
    yield from summa(a.cols, b.rows, slab(grid, a, layer), place)
    if grid.pk > 1:
        mine = c.local_shape(rank)
        received = mine[0] * mine[1] * (grid.pk - 1)
        yield [Step("sum", "fibre", received=received, flops=received)]


def slab(grid: Grid, a: Layout, layer: int) -> range:
    """Return the part of k that a layer of the grid works on. Local."""
    k = a.cols.n
    width = a.cols.block * grid.pn if grid.pk > 1 else k
    return range(min(layer * width, k), min((layer + 1) * width, k))
