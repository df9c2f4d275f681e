"""Choice of the algorithm of a product, by estimated time; needs no data and no MPI."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from mpiapps.linalg.axis import Axis
from mpiapps.linalg.grid_choice import BANDWIDTH, FLOPS, Grid, choose_grid
from mpiapps.linalg.layout import Layout

LATENCY = 2e-5  # s of a message and of the Python calls around it
WIDTH = 512  # panel width: gemm updates of rank 256 and more run at full speed
# Times that an element which is sent is read or written.
REDISTRIBUTION_PASSES = 3  # packed, sent, unpacked
REDUCTION_PASSES = 3  # written as a term, sent, added
REPLICATION_PASSES = 2  # sent, and its page touched for the first time
PANEL_PASSES = 0.5  # half of the transfer overlaps with products

# The algorithms.
REPLICATE_A = "replicate A"  # B and C have complete columns
REPLICATE_B = "replicate B"  # A and C have complete rows
REPLICATE_BOTH = "replicate A and B"
SUM = "sum over k"  # A has complete columns, B complete rows; terms of C are added
SUMMA = "SUMMA"  # panels of A and B along the rows and columns of a grid
Layouts = tuple[Layout, Layout, Layout]


class Cost(NamedTuple):
    """Flops, elements read or written to send them, and messages of a rank."""

    flops: float
    elements: float
    messages: int

    def seconds(self, itemsize: int) -> float:
        """Return a rough time, to compare algorithms."""
        return (
            self.flops / FLOPS
            + self.elements * itemsize / BANDWIDTH
            + self.messages * LATENCY
        )


@dataclass(frozen=True)
class Choice:
    """An algorithm of a product.

    Attributes
    ----------
    algorithm : str
        One of the constants of this module.
    grid : Grid
        The process grid.
    layouts : tuple of Layout
        Of op(A), op(B) and C in the product. Operands in other layouts are
        redistributed first; replicated ones are in any layout.
    """

    algorithm: str
    grid: Grid
    layouts: Layouts

    @property
    def replicated(self) -> tuple[bool, bool]:
        """Whether A and B are replicated on every rank."""
        both = self.algorithm == REPLICATE_BOTH
        return both or self.algorithm == REPLICATE_A, (
            both or self.algorithm == REPLICATE_B
        )

    def memory(self) -> int:
        """Return the elements that a rank holds, without panels."""
        a, b, c = self.layouts
        total = sum(math.prod(x.local_shape(x.ranks[0])) for x in self.layouts)
        for whole, x in zip(self.replicated, (a, b), strict=True):
            total += whole * math.prod(x.shape)
        terms = c.rows.count(0) * c.cols.count(0) * (self.grid.pk - 1)
        return total + terms

    def cost(self, size: int, *, gram: bool = False) -> Cost:
        """Return the cost for the busiest rank, without redistribution.

        For a Gram matrix, half of the flops if one rank computes it, else the exchange
        of a triangle.
        """
        (a, b, c), grid = self.layouts, self.grid
        rows, cols, k = c.rows.count(0), c.cols.count(0), a.cols.n
        if self.algorithm == SUMMA:
            cost = _summa_cost(self)
            if gram:
                exchanged = cost.elements + REDISTRIBUTION_PASSES * rows * cols
                return Cost(cost.flops, exchanged, cost.messages + size - 1)
            return cost
        if self.algorithm == SUM:
            m, n, part = a.rows.n, b.cols.n, a.cols.count(0)
            added = REDUCTION_PASSES * m * n * (1 - 1 / grid.pk)
            return Cost((2 - gram) * m * n * part, added, grid.pk - 1)
        if gram:  # whole, on every rank
            rows, cols = c.shape
        received = sum(
            whole * math.prod(x.shape)
            for whole, x in zip(self.replicated, (a, b), strict=True)
        )
        return Cost(
            (2 - gram) * rows * cols * k,
            REPLICATION_PASSES * received * (1 - 1 / size),
            sum(self.replicated) if size > 1 else 0,
        )


def _summa_cost(choice: Choice) -> Cost:
    (a, b, _), grid = choice.layouts, choice.grid
    rows, cols = a.rows.count(0), b.cols.count(0)
    part = a.cols.n if grid.pk == 1 else min(a.cols.n, a.cols.block * grid.pn)
    panels = rows * part * (1 - 1 / grid.pn) + cols * part * (1 - 1 / grid.pm)
    terms = rows * cols * (1 - 1 / grid.pk)
    messages = grid.pk - 1
    for axis, others in ((a.cols, grid.pn), (b.rows, grid.pm)):
        if others > 1:
            messages += -(-part // min(WIDTH, axis.block))
    return Cost(
        2 * rows * cols * part,
        PANEL_PASSES * panels + REDUCTION_PASSES * terms,
        messages,
    )


@dataclass(frozen=True)
class Product:
    """A product on ``size`` ranks: ``op(A)`` is m x k, ``op(B)`` k x n.

    Attributes
    ----------
    m, n, k, size, itemsize, memory
        As for `choose_grid`.
    a, b : Layout, optional
        Layouts of op(A) and op(B). Default: those that the algorithm needs.
    gram : bool
        Whether the product is ``A.H A``.
    """

    m: int
    n: int
    k: int
    size: int
    itemsize: int = 8
    memory: float = math.inf
    a: Layout | None = None
    b: Layout | None = None
    gram: bool = False


@lru_cache(maxsize=1024)
def choose_product(product: Product) -> Choice:
    """Return the algorithm of least estimated time, redistribution included.

    Raises `MemoryError` if none fits.
    """
    return rank_choices(product)[0][1]


def rank_choices(product: Product) -> list[tuple[float, Choice]]:
    """Return the algorithms with their estimated seconds, the fastest one first.

    Raises `MemoryError` if none fits.
    """
    m, n, k, size = product.m, product.n, product.k, product.size
    itemsize, memory, gram = product.itemsize, product.memory, product.gram
    grid = choose_grid(m, n, k, size, itemsize, memory)
    choices = [Choice(SUMMA, grid, grid.layouts(m, n, k))]
    for choice in candidates(product):
        halves = gram and sum(choice.replicated) == 1  # which no single rank has
        if choice.memory() * itemsize <= memory and not halves:
            choices.append(choice)

    def seconds(choice: Choice) -> float:
        costs = [choice.cost(size, gram=gram)]
        for old, new, replicated in zip(
            (product.a, product.b), choice.layouts, choice.replicated, strict=False
        ):
            if not replicated:
                costs.append(_redistribution_cost(old, new, size))
        return sum(cost.seconds(itemsize) for cost in costs)

    # SUMMA copies a transposed operand, a sum over k alone does not.
    return sorted(
        ((seconds(choice), choice) for choice in choices),
        key=lambda pair: (
            pair[0],
            pair[1].algorithm == SUMMA and pair[1].grid.pk == size,
        ),
    )


def _redistribution_cost(old: Layout | None, new: Layout, size: int) -> Cost:
    if old is None or old.matches(new):
        return Cost(0, 0, 0)
    parts = (math.prod(x.local_shape(x.ranks[0])) for x in (old, new))
    return Cost(0, REDISTRIBUTION_PASSES * max(parts), size - 1)


def candidates(product: Product) -> Iterator[Choice]:
    """Yield the algorithms, with operands where they are if the algorithm allows it."""
    m, n, k, size = product.m, product.n, product.k, product.size
    a, b = product.a, product.b
    complete_rows = [a] if a and a.cols.procs == 1 else []
    for x in (*complete_rows, Layout.blocks((m, k), (size, 1))):
        c = Layout(x.rows, Axis.contiguous(n, 1), x.ranks)
        yield Choice(REPLICATE_B, Grid(size, 1), (x, b or _balanced(k, n, size), c))
    complete_columns = [b] if b and b.rows.procs == 1 else []
    for x in (*complete_columns, Layout.blocks((k, n), (1, size))):
        c = Layout(Axis.contiguous(m, 1), x.cols, x.ranks)
        yield Choice(REPLICATE_A, Grid(1, size), (a or _balanced(m, k, size), x, c))
    c = _balanced(m, n, size)
    wholes = a or _balanced(m, k, size), b or _balanced(k, n, size)
    yield Choice(REPLICATE_BOTH, Grid(*c.grid), (*wholes, c))
    in_parts = [x for x in (a, b and b.T) if x and x.rows.procs == 1]
    for x in (*in_parts, Layout.blocks((m, k), (1, size))):
        left = Layout(Axis.contiguous(m, 1), x.cols, x.ranks)
        right = Layout(x.cols, Axis.contiguous(n, 1), x.ranks)
        c = Layout(Axis.contiguous(m, x.cols.procs), right.cols, x.ranks)
        yield Choice(SUM, Grid(1, 1, x.cols.procs), (left, right, c))
    if (
        a
        and b
        and a.grid == b.grid
        and a.ranks == b.ranks == tuple(range(len(a.ranks)))
    ):
        yield Choice(SUMMA, Grid(*a.grid), (a, b, Layout(a.rows, b.cols, a.ranks)))


def _balanced(m: int, n: int, size: int) -> Layout:
    return Layout.balanced((m, n), size)
