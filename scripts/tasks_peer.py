"""One of the ways of bench_tasks.py to do no-op tasks.

usage: tasks_peer.py ours|futures|pool|dask TASKS WORKERS

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
    """Do nothing."""
    return x


def measure(do: Map, tasks: int) -> None:
    """Print the rates of some repeats."""
    do(range(100))
    rates = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        do(range(tasks))
        rates.append(tasks / (time.perf_counter() - start))
    print(json.dumps(rates), flush=True)


def ours(tasks: int, _: int) -> None:
    """Share them over ranks."""
    from mpiapps.comm import open_world
    from mpiapps.comm.tasks import Tasks

    with open_world() as world, Tasks(world.comm) as shared:
        if shared is not None:
            measure(lambda items: shared.map(noop, items, 1), tasks)


def futures(tasks: int, _: int) -> None:
    """Share them by mpi4py.futures."""
    from mpi4py import MPI
    from mpi4py.futures import MPICommExecutor

    executor: Any
    with MPICommExecutor(MPI.COMM_WORLD) as executor:
        if executor is not None:
            measure(lambda items: list(executor.map(noop, items)), tasks)


def pool(tasks: int, workers: int) -> None:
    """Share them over processes of one host."""
    from multiprocessing import Pool

    with Pool(workers) as shared:
        measure(lambda items: shared.map(noop, items, 1), tasks)


def dask(tasks: int, _: int) -> None:
    """Share them by dask-mpi."""
    from dask.distributed import Client
    from dask_mpi import initialize

    initialize(nthreads=1, dashboard=False)
    with Client() as client:
        measure(lambda items: client.gather(client.map(noop, items, pure=False)), tasks)


if __name__ == "__main__":
    WAYS = {"ours": ours, "futures": futures, "pool": pool, "dask": dask}
    WAYS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
