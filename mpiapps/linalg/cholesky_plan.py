"""The plan of a Cholesky factorisation; needs no data."""

from __future__ import annotations

from itertools import islice

from mpiapps.linalg.factorization import (
    block_for,
    factor_flops,
    one_rank_is_faster,
    panels,
)
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.operation_plan import OperationPlan, Problem, Work
from mpiapps.linalg.traffic import Traffic


def plan_cholesky(problem: Problem) -> OperationPlan:
    """Return the plan of `cholesky` of a matrix."""
    n, p, z = problem.n, problem.ranks, problem.itemsize
    flops = factor_flops(n)
    if one_rank_is_faster(problem.layout, p, problem.dtype, flops):
        work = Work(flops=n**3 / 3, memory=2 * n * n * z)
        return problem.plan("LAPACK on rank 0", _on_rank_0, work)
    rows, columns = Layout.cyclic((n, n), p).grid
    work = Work(
        flops=n**3 / 3 / p + n * n * block_for(n, p) / rows,
        # A, L, two panels, and the rows of one that are this rank's columns.
        memory=(2 * n * n / p + (2 * n / rows + n / columns) * block_for(n, p)) * z,
    )
    return problem.plan("block-cyclic, right-looking", send_cholesky, work)


def _on_rank_0(traffic: Traffic, problem: Problem) -> None:
    there = Layout.on_one(problem.layout.shape, 0)
    traffic.move(problem.layout, there, problem.itemsize)


def send_cholesky(
    traffic: Traffic, problem: Problem, first_panels: int | None = None
) -> None:
    """Add what `cholesky` sends, if it uses all ranks: all panels, or the first."""
    n, size, z = problem.n, traffic.size, problem.itemsize
    layout = Layout.cyclic((n, n), size, block_for(n, size))
    traffic.move(problem.layout, layout, z)
    (p, q), rows, cols = layout.grid, layout.rows, layout.cols
    i, j = divmod(traffic.rank, q)

    def broadcast(elements: int, root: int, group: tuple[int, int, int]) -> None:
        ranks = traffic.group(*group)
        ranks.broadcast(elements * z, root)
        traffic.include(ranks)

    process_row, process_column = (i * q, q, 1), (j, p, q)
    # This rank's columns to the right of the panel, by the process row that sends them.
    owned = [cols.common(j, rows, root) for root in range(p)]
    # Each panel makes these calls until the last p q ones, whose trailing matrix has
    # less than a block per process.
    calls = sum(map(bool, owned))
    traffic.expect((n // rows.block - p * q) * calls)
    for panel in islice(panels(rows, layout.grid), first_panels):
        nb, below = len(panel), rows.count(i) - rows.count_below(panel.k.start, i)
        if j == panel.col:
            traffic.compute(nb**3 / 3 if i == panel.row else 0)
            broadcast(nb * nb + 1, panel.row, process_column)
            traffic.compute(below * nb * nb)
            owned[panel.row] -= nb
        broadcast(below * nb + 1, panel.col, process_row)  # with an info code
        for root, columns in enumerate(owned):
            if columns:  # of the diagonal process row only, on a square grid
                broadcast(columns * nb, root, process_column)
        # Half of the products: those below the diagonal.
        traffic.compute(sum(owned) * below * nb)
