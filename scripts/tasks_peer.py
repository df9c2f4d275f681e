"""Run no-op tasks on one of the pools of bench_tasks.py.

usage: tasks_peer.py mpiapps|futures|pool|dask TASKS WORKERS

Prints the tasks per second of three repeats as JSON, on one rank.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

REPEATS = 3
Map = Callable[[range], Any]


def noop(x: int) -> int:
    """Return the argument."""
    return x


def measure(map_items: Map, tasks: int) -> None:
    """Print the tasks per second of each repeat."""
    map_items(range(100))
    rates = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        map_items(range(tasks))
        rates.append(tasks / (time.perf_counter() - start))
    print(json.dumps(rates), flush=True)


def mpi_pool(tasks: int, _: int) -> None:
    """Measure `MPIPool`."""
    from mpiapps.comm import open_world
    from mpiapps.tasks.mpi_pool import MPIPool

    with open_world() as world, MPIPool(world.comm) as workers:
        if workers is not None:
            measure(lambda items: workers.map(noop, items, 1), tasks)


def futures(tasks: int, _: int) -> None:
    """Measure mpi4py.futures."""
    from mpi4py import MPI
    from mpi4py.futures import MPICommExecutor

    executor: Any
    with MPICommExecutor(MPI.COMM_WORLD) as executor:
        if executor is not None:
            measure(lambda items: list(executor.map(noop, items)), tasks)


def pool(tasks: int, workers: int) -> None:
    """Measure multiprocessing.Pool."""
    from multiprocessing import Pool

    with Pool(workers) as processes:
        measure(lambda items: processes.map(noop, items, 1), tasks)


def dask(tasks: int, _: int) -> None:
    """Measure dask-mpi."""
    from dask.distributed import Client
    from dask_mpi import initialize

    initialize(nthreads=1, dashboard=False)
    with Client() as client:
        measure(lambda items: client.gather(client.map(noop, items, pure=False)), tasks)


if __name__ == "__main__":
    POOLS = {"mpiapps": mpi_pool, "futures": futures, "pool": pool, "dask": dask}
    POOLS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
