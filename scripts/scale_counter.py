"""Where one counter saturates: its measured rate, a model, and a simulation.

Run on two ranks or more: mpiexec -n 2 python scripts/scale_counter.py
P ranks take the next task from one counter, which serves one of them at a time in s
seconds. A task of T seconds keeps P ranks busy as long as P s <= T; beyond, the counter
gives 1/s tasks a second whatever P is. Taking k tasks at once costs s for each k.
"""

from __future__ import annotations

import heapq
import random
import time

from mpiapps.comm import open_world
from mpiapps.comm.work import new_counter
from mpiapps.comm.world import World

GRABS = 100_000
RANKS = (10, 100, 1000, 10_000)
TASKS = (1e-4, 1e-3, 1e-2, 0.1)  # s
EACH = 40  # tasks of each rank


def measured(world: World) -> float:
    """Return the seconds of a grab when all ranks grab at once. Collective."""
    counter = new_counter(world.comm)
    world.comm.Barrier()
    start = time.perf_counter()
    grabs = 0
    while counter.next() < GRABS:
        grabs += 1
    took = time.perf_counter() - start
    world.comm.Barrier()
    counter.free()
    return float(world.comm.allreduce(took)) / world.size / GRABS


def simulated(ranks: int, task: float, serve: float, k: int = 1) -> float:
    """Return the efficiency: the work of all ranks over the time of all ranks."""
    some = random.Random(1)
    left, free, work = ranks * EACH, 0.0, 0.0
    ready = [(0.0, rank) for rank in range(ranks)]
    end = 0.0
    while ready:
        now, rank = heapq.heappop(ready)
        free = max(free, now) + serve
        taken = min(k, left)
        left -= taken
        if not taken:
            end = max(end, now)
            continue
        took = sum(some.expovariate(1 / task) for _ in range(taken))
        work += took
        heapq.heappush(ready, (free + took, rank))
    return work / (ranks * end)


def main() -> None:
    """Measure and print the table."""
    with open_world() as world:
        serve = measured(world)
        if not world.is_root:
            return
        print(f"a grab takes {serve * 1e6:.2f} us: {1 / serve:,.0f} a second")
        print("efficiency, simulated (model min(1, T / (P s)))")
        print(f"{'task':>8}" + "".join(f"{f'{p:,} ranks':>22}" for p in RANKS))
        for task in TASKS:
            cells = []
            for ranks in RANKS:
                found = simulated(ranks, task, serve)
                model = min(1.0, task / (ranks * serve))
                cells.append(f"{found:.2f} ({model:.2f})")
            print(f"{task * 1e3:6.1f}ms" + "".join(f"{cell:>22}" for cell in cells))
        task, ranks = 1e-3, RANKS[-1]
        for k in (1, 4, 16):
            found = simulated(ranks, task, serve, k)
            print(f"{task * 1e3:.0f} ms on {ranks:,} ranks, {k} at once: {found:.2f}")


if __name__ == "__main__":
    main()
