"""Saturation of the shared counter: its measured rate, a model, and a simulation.

Run on two ranks or more: mpiexec -n 2 python scripts/scale_counter.py
P ranks take the next task from one counter; a fetch-and-add takes s seconds, one at a
time. Tasks of T seconds keep P ranks busy as long as P s <= T; for larger P, the
counter limits the rate to 1/s tasks per second. A chunk of k tasks needs one
fetch-and-add.
"""

from __future__ import annotations

import heapq
import random
import time

from mpiapps.comm import open_world
from mpiapps.comm.world import World
from mpiapps.tasks.task_counter import GlobalCounter, HostCounter, TaskCounter

COUNTS = 100_000
RANKS = (10, 100, 1000, 10_000)
TASKS = (1e-4, 1e-3, 1e-2, 0.1)  # s
TASKS_PER_RANK = 40


def measure(world: World, counter: TaskCounter) -> float:
    """Return the seconds per number, taken by all ranks at once. Collective."""
    world.comm.Barrier()
    start = time.perf_counter()
    while counter.next() < COUNTS:
        pass
    seconds = time.perf_counter() - start
    world.comm.Barrier()
    counter.free()
    return float(world.comm.allreduce(seconds)) / world.size / COUNTS


def simulate(ranks: int, task: float, latency: float, k: int = 1) -> float:
    """Return the efficiency: the working time of all ranks over their total time."""
    rng = random.Random(1)
    remaining, counter_free, work = ranks * TASKS_PER_RANK, 0.0, 0.0
    ready = [(0.0, rank) for rank in range(ranks)]
    end = 0.0
    while ready:
        now, rank = heapq.heappop(ready)
        counter_free = max(counter_free, now) + latency
        chunk = min(k, remaining)
        remaining -= chunk
        if not chunk:
            end = max(end, now)
            continue
        seconds = sum(rng.expovariate(1 / task) for _ in range(chunk))
        work += seconds
        heapq.heappush(ready, (counter_free + seconds, rank))
    return work / (ranks * end)


def main() -> None:
    """Measure and print the table."""
    with open_world() as world:
        latency = measure(world, GlobalCounter(world, COUNTS))
        by_host = measure(world, HostCounter(world, COUNTS, world.node))
        if not world.is_root:
            return
        for name, each in ("global counter", latency), ("by host", by_host):
            print(f"{name}: {each * 1e6:.2f} us, {1 / each:,.0f} numbers per second")
        print("efficiency, simulated (model min(1, T / (P s)))")
        print(f"{'task':>8}" + "".join(f"{f'{p:,} ranks':>22}" for p in RANKS))
        for task in TASKS:
            cells = []
            for ranks in RANKS:
                efficiency = simulate(ranks, task, latency)
                model = min(1.0, task / (ranks * latency))
                cells.append(f"{efficiency:.2f} ({model:.2f})")
            print(f"{task * 1e3:6.1f}ms" + "".join(f"{cell:>22}" for cell in cells))
        task, ranks = 1e-3, RANKS[-1]
        for k in (1, 4, 16):
            efficiency = simulate(ranks, task, latency, k)
            print(f"1 ms on {ranks:,} ranks, chunks of {k}: {efficiency:.2f}")


if __name__ == "__main__":
    main()
