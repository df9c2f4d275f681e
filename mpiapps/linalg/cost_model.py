"""Cost model of a product on any number of ranks; needs no data and no MPI."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mpiapps.linalg.grid_choice import Grid, choose_grid
from mpiapps.linalg.lower_bound import lower_bound
from mpiapps.linalg.product_choice import WIDTH, Layouts
from mpiapps.linalg.schedule import summa_product


@dataclass(frozen=True)
class Machine:
    """Speed of one rank: flop/s of gemm, byte/s received, and s per message."""

    flops: float = 50e9
    bandwidth: float = 5e9
    latency: float = 5e-6


@dataclass(frozen=True)
class Plan:
    """Grid and cost of a product, for the busiest of the ranks examined.

    Attributes
    ----------
    received, messages : int
        Bytes that a rank receives; broadcasts and exchanges that it takes part in.
    memory : int
        Peak memory of a rank in bytes, panels included.
    bound : float
        Lower bound of the bytes that some rank moves, for any algorithm.
    """

    grid: Grid
    received: int
    messages: int
    flops: int
    memory: int
    bound: float

    def seconds(self, machine: Machine) -> float:
        """Return the time without overlap of communication and computation."""
        return (
            self.flops / machine.flops
            + self.received / machine.bandwidth
            + self.messages * machine.latency
        )

    def values(self, machine: Machine) -> dict[str, Any]:
        """Return the plan as values of the run record."""
        return {
            "grid": [self.grid.pm, self.grid.pn, self.grid.pk],
            "memory": self.memory,
            "received": self.received,
            "messages": self.messages,
            "flops": self.flops,
            "lower_bound": self.bound,
            "times_lower_bound": self.received / self.bound if self.bound else 1.0,
            "seconds": self.seconds(machine),
            "machine": [machine.flops, machine.bandwidth, machine.latency],
        }


def plan(  # noqa: PLR0913, PLR0917 - the sizes of a product have names
    m: int,
    n: int,
    k: int,
    size: int,
    itemsize: int = 8,
    memory: float = math.inf,
) -> Plan:
    """Return the cost of a product on `size` ranks, from its schedule.

    Examines the ranks at the corners of the grid and next to the first: blocks are
    largest on the first rank and smallest on the last.
    """
    grid = choose_grid(m, n, k, size, itemsize, memory)
    layouts = grid.layouts(m, n, k)
    rows_at = {0, min(1, grid.pm - 1), grid.pm - 1}
    cols_at = {0, min(1, grid.pn - 1), grid.pn - 1}
    ranks = {i * grid.pn + j for i in rows_at for j in cols_at} | {grid.size - 1}
    counts = [count(grid, layouts, rank) for rank in sorted(ranks)]
    received, messages, flops = (max(values) for values in zip(*counts, strict=True))
    rows, cols = layouts[0].rows.count(0), layouts[1].cols.count(0)
    elements = rows * cols + 2 * WIDTH * (rows + cols)
    elements += sum(math.prod(layout.local_shape(0)) for layout in layouts[:2])
    bound = lower_bound(m, n, k, size) * itemsize
    return Plan(grid, received * itemsize, messages, flops, elements * itemsize, bound)


def count(grid: Grid, layouts: Layouts, rank: int) -> tuple[int, int, int]:
    """Return elements received, messages and flops of one rank's schedule."""
    received = messages = flops = 0
    for panel in summa_product(grid, layouts, rank):
        for step in panel:
            received, flops = received + step.received, flops + step.flops
            messages += {"bcast": 1, "sum": grid.pk - 1}.get(step.op, 0)
    return received, messages, flops
