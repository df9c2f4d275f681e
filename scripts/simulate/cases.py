"""The schedules that are simulated: the traces and hosts of each, and its plan."""

from __future__ import annotations

import pickle
import timeit
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
from case import PICKLED_INT, Case
from task_cases import counter, counter_by_host, manager, manager_chunks
from traces import ITEMSIZE, Enough, TracedTraffic, first_panels, product_trace

from mpiapps.base.platforms import Platform
from mpiapps.base.usage import usage_of_process
from mpiapps.comm.partition import process_grid
from mpiapps.linalg import factor_plans
from mpiapps.linalg.call_cost import Call
from mpiapps.linalg.cholesky_plan import send_cholesky
from mpiapps.linalg.cost_model import Machine, call_of
from mpiapps.linalg.factorization import block_for
from mpiapps.linalg.grid_choice import Grid
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.lu_panel import block_for_lu, panel_flops
from mpiapps.linalg.lu_plan import random_pivots, send_lu
from mpiapps.linalg.operation_plan import Problem, Schedule
from mpiapps.linalg.product_choice import SUMMA, Choice, Product, rank_choices
from mpiapps.linalg.traffic import Traffic

LOCAL = 2048  # rows and columns of a rank's block of C
MANY = 4096  # ranks, from which blocks have half as many; above, one panel is traced
PANELS = 2
FACTOR_PANELS = 4
CALLS = 5  # of an operation

Build = Callable[[Platform, int], Case]


def gemm(platform: Platform, ranks: int) -> Case:
    """Return the first panels of a square product, on the squarest grid."""
    n = _local(ranks) * round(ranks**0.5)
    grid = Grid(*process_grid(ranks))
    choice = Choice(SUMMA, grid, grid.layouts(n, n, n))
    return _product(platform, ranks, choice, PANELS if ranks <= MANY else 1)


def gemm_3d(platform: Platform, ranks: int) -> Case:
    """Return a product on the grid that is chosen for it, with the sums over k."""
    n = _local(ranks) // 2 * round(ranks**0.5)
    ranked = rank_choices(Product(n, n, n, ranks))
    choice = next(c for _, c in ranked if c.algorithm == SUMMA)
    return _product(platform, ranks, choice, 0)


def gram(platform: Platform, ranks: int) -> Case:
    """Return the gram matrix of 100,000 rows of 256 columns for each rank."""
    ranked = rank_choices(Product(256, 256, 100_000 * ranks, ranks, gram=True))
    return _product(platform, ranks, ranked[0][1], 0, gram=True)


@dataclass(frozen=True)
class Factorisation:
    """What the panels of a factorisation cost.

    For each column of a panel, all ranks compute `update` flops an element of the
    trailing matrix; the panel takes `panel` flops, by its rows, columns, and the
    process rows.
    """

    send: Callable[[Traffic, Problem, int], None]
    block: Callable[[int, int], int]
    update: int
    panel: Callable[[int, int, int], float] = lambda *_: 0


def _send_lu(traffic: Traffic, problem: Problem, first: int) -> None:
    send_lu(traffic, problem, random_pivots(problem.n), first)


FACTORISATIONS = {
    "cholesky": Factorisation(send_cholesky, block_for, update=1),
    "lu": Factorisation(_send_lu, block_for_lu, update=2, panel=panel_flops),
}


def factorisation(name: str) -> Build:
    """Return the case of the first panels of a factorisation."""
    return partial(_factorise, FACTORISATIONS[name])


def _factorise(factors: Factorisation, platform: Platform, ranks: int) -> Case:
    n = _local(ranks) * round(ranks**0.5)
    layout = Layout.cyclic((n, n), ranks, factors.block(n, ranks))  # moved before
    problem = Problem(layout, ranks, np.dtype("f8"))

    def traced(rank: int) -> TracedTraffic:
        traffic = TracedTraffic(rank, ranks)
        factors.send(traffic, problem, FACTOR_PANELS)
        return traffic

    first = traced(0)
    nb = layout.rows.block
    left = [n - k * nb for k in range(FACTOR_PANELS)]
    useful = sum(factors.update * m * m * nb for m in left) / ranks / platform.flops
    procs = layout.grid[0]
    panels = sum(factors.panel(m, nb, procs) for m in left) / platform.flops
    communication = Machine.of(platform.name).communication(0, 0, first.calls)
    planned = useful + panels + communication
    traces = (traced(rank).actions for rank in range(ranks))
    return Case(traces, list(range(ranks)), first.received, useful, planned)


def _local(ranks: int) -> int:
    return LOCAL if ranks < MANY else LOCAL // 2


def _product(
    platform: Platform, ranks: int, choice: Choice, panels: int, *, gram: bool = False
) -> Case:
    steps = list(first_panels(choice, 0, ranks, panels, gram=gram))
    calls = Counter(
        call for step in steps if (call := call_of(step, choice.grid, ranks, ITEMSIZE))
    )
    # The last rank is not a root of these panels.
    last = first_panels(choice, ranks - 1, ranks, panels, gram=gram)
    received = ITEMSIZE * sum(step.received for step in last)
    useful = sum(step.flops for step in steps) / platform.flops
    planned = useful + Machine.of(platform.name).communication(0, 0, calls)
    traces = (
        product_trace(choice, r, ranks, panels=panels, gram=gram) for r in range(ranks)
    )
    return Case(traces, list(range(ranks)), received, useful, planned)


def operation(name: str, shape: Callable[[int], tuple[int, int]]) -> Build:
    """Return the case of a `Schedule` of the plans: its first `CALLS` calls."""

    def build(platform: Platform, ranks: int) -> Case:
        schedule: Schedule = SCHEDULES[name]
        layout = Layout.balanced(shape(ranks), ranks)
        problem = Problem(layout, ranks, np.dtype("f8"))

        def traced(rank: int) -> TracedTraffic:
            traffic = TracedTraffic(rank, ranks, limit=CALLS)
            with suppress(Enough):
                schedule(traffic, problem)
            return traffic

        first = traced(0)
        planned = Machine.of(platform.name).communication(0, 0, first.calls)
        traces = (traced(rank).actions for rank in range(ranks))
        return Case(traces, list(range(ranks)), first.received, 0.0, planned)

    return build


def redistribute(traffic: Traffic, problem: Problem) -> None:
    """Add the redistribution from blocks to square block-cyclic blocks."""
    cyclic = Layout.cyclic(problem.layout.shape, problem.ranks, 256)
    traffic.move(problem.layout, cyclic, problem.itemsize)


SCHEDULES: dict[str, Schedule] = {
    "eigh": factor_plans.send_eigh,
    "svd": factor_plans.send_svd,
    "lstsq": factor_plans.send_lstsq,
    "redistribute": redistribute,
}


def reports(platform: Platform, ranks: int) -> Case:
    """Return the gather of a row of each rank, pickled, as mpi4py's `gather`."""
    row = {"rank": ranks, "host": "node0123.cluster", "threads": 1}
    row |= {"timers": {"total": 1.234567, "kernel": 1.234567}} | usage_of_process()
    data = pickle.dumps(row)
    unpickle = min(timeit.repeat(lambda: pickle.loads(data), number=100)) / 100
    counts = " ".join([str(len(data))] * ranks)
    gathered = ["gather 4 4 0", f"gatherv {len(data)} {counts} 0"]
    root = [*gathered, f"compute {round(unpickle * ranks * platform.flops)}"]
    traces = (root if rank == 0 else gathered for rank in range(ranks))
    return Case(traces, list(range(ranks)), len(data) * (ranks - 1), 0.0)


def checkpoint(platform: Platform, ranks: int) -> Case:
    """Return the agreement on a checkpoint: mpi4py's `allreduce` of a number."""
    call = Call("allreduce", ranks, PICKLED_INT)
    action = f"allreduce_in 0 1 {ranks} {PICKLED_INT}"
    planned = Machine.of(platform.name).communication(0, 0, Counter([call]))
    traces = ([action] for _ in range(ranks))
    return Case(traces, list(range(ranks)), 2 * PICKLED_INT, 0.0, planned)


CASES: dict[str, Build] = {
    "gemm": gemm,
    "gemm-3d": gemm_3d,
    "gram": gram,
    "cholesky": factorisation("cholesky"),
    "lu": factorisation("lu"),
    "eigh": operation("eigh", lambda ranks: (64 * ranks, 64 * ranks)),
    "svd": operation("svd", lambda ranks: (64 * ranks, 32 * ranks)),
    "tsqr": operation("lstsq", lambda ranks: (100_000 * ranks, 64)),
    "redistribute": operation("redistribute", lambda ranks: (64 * ranks, 64 * ranks)),
    "counter": counter,
    "counter-by-host": counter_by_host,
    "manager": manager,
    "manager-chunks": manager_chunks,
    "reports": reports,
    "checkpoint": checkpoint,
}
