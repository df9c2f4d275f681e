"""The part of bench_pi.py that runs on ranks: bench_ranks.py scaling|calls ROUNDS.

Rank 0 prints a line of JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from mpi4py import MPI

from mpiapps.app.context import RunContext
from mpiapps.comm import open_world
from mpiapps.comm.block_plan import BlockPlan
from mpiapps.comm.world import World
from mpiapps.pi import Options, run

CALLS = 20000
SCALING_OPTIONS = Options(samples=10**9)


def scaling(world: World, rounds: int) -> list[tuple[float, float]]:
    """Return the seconds of the same work on all ranks and on rank 0, alternating."""

    def timed(ranks: World) -> float:
        start = time.perf_counter()
        run(RunContext.make(ranks), SCALING_OPTIONS)
        return time.perf_counter() - start

    pairs = []
    with World(MPI.COMM_SELF) as single:
        for _ in range(rounds + 1):
            world.comm.Barrier()
            pairs.append((timed(world), timed(single) if world.is_root else 0.0))
            barrier = world.comm.Ibarrier()
            while not barrier.Test():  # a blocking call would use the core
                time.sleep(0.001)
    return pairs[1:]  # the first round warms up


def calls(world: World, rounds: int) -> dict[str, tuple[float, float, float]]:
    """Return us of a `BlockPlan` call, of the plain call, and of their difference."""
    comm = world.comm
    plan = BlockPlan(comm, [4] * comm.size)
    block, whole = np.ones(4), np.empty(4 * comm.size)
    counts, displs = [4] * comm.size, [4 * rank for rank in range(comm.size)]
    spec = [whole, counts, displs, MPI.DOUBLE]
    at_root, spec_at_root = (whole, spec) if world.is_root else (None, None)
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "allgather": (
            lambda: plan.allgather(block, whole),
            lambda: comm.Allgatherv(block, spec),
        ),
        "gather": (
            lambda: plan.gather(block, at_root),
            lambda: comm.Gatherv(block, spec_at_root),
        ),
        "scatter": (
            lambda: plan.scatter(at_root, block),
            lambda: comm.Scatterv(spec_at_root, block),
        ),
    }

    def call_time(call: Callable[[], object]) -> float:
        comm.Barrier()
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        return (time.perf_counter() - start) / CALLS * 1e6

    rows = {}
    for name, (planned, plain) in pairs.items():
        times = [(call_time(planned), call_time(plain)) for _ in range(rounds)]
        planned_times, plain_times = zip(*times, strict=True)
        difference = median(a - b for a, b in times)
        rows[name] = (median(planned_times), median(plain_times), difference)
    return rows


if __name__ == "__main__":
    with open_world() as world:
        benchmark = {"scaling": scaling, "calls": calls}[sys.argv[1]]
        results = benchmark(world, int(sys.argv[2]))
        if world.is_root:
            print(json.dumps(results))
