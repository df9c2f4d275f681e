"""A sweep over two parameters: mpiapps run docs/examples/sweep.py -n 4."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from mpiapps.app import Program, Result, main, option

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext


@dataclass(frozen=True)
class Options:
    """The parameters: growth rates and starting values of the logistic map."""

    rates: int = option(20, "number of growth rates from 2.5 to 4", min=1)
    starts: int = option(5, "number of starting values between 0 and 1", min=1)
    steps: int = option(10_000, "steps of the map", type="count", min=1)


def lyapunov(rate: float, start: float, steps: int) -> float:
    """Return the mean of ``log |f'(x)|`` along an orbit: above 0 for chaos."""
    x, total = start, 0.0
    for _ in range(steps):
        x = rate * x * (1 - x)
        total += float(np.log(abs(rate * (1 - 2 * x)) + 1e-300))
    return total / steps


def run(ctx: RunContext, options: Options) -> Result:
    """Compute one orbit per task. Collective."""
    from mpiapps.tasks.mpi_pool import MPIPool

    rates = np.linspace(2.5, 4, options.rates).tolist()
    starts = np.linspace(0, 1, options.starts + 2)[1:-1].tolist()
    tasks = [(*case, options.steps) for case in product(rates, starts)]
    with MPIPool(ctx.world.comm) as pool:
        if pool is None:  # a worker, whose tasks are done
            return Result()
        exponents = pool.starmap(lyapunov, tasks)  # in the order of the tasks
    chaotic = sorted(
        {task[0] for task, value in zip(tasks, exponents, strict=True) if value > 0}
    )
    return Result({"exponents": exponents, "chaotic_rates": chaotic})


PROGRAM = Program(
    "sweep",
    "Find the chaotic growth rates of the logistic map.",
    Options,
    run,
    resumable=lambda _options: False,
)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
