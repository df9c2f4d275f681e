"""A pool of bench_tasks.py: runs cells, one after another.

usage: tasks_peer.py mpiapps|futures|pool|joblib

Reads a cell per line of standard input, as JSON, until `null`; prints its seconds and
the bytes by which the process that has the pool grew at most, as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

WORKERS = 2
Map = Callable[..., Iterable[Any]]


def payload(kind: str, size: int, seed: int = 0) -> Any:
    """Return an object of some `size` bytes when pickled."""
    if kind == "array":
        return np.full(size // 8, seed, np.float64)
    if kind == "string":
        return f"{seed:08d}" * (size // 8)
    return {f"{n:08d}": n + seed for n in range(size // 16)}


def give(seed: int, kind: str, size: int) -> Any:
    """Return a payload."""
    return payload(kind, size, seed)


def take(item: Any) -> int:
    """Return the length of a payload."""
    return len(item) if hasattr(item, "__len__") else 1


def add(item: int, data: Any) -> int:
    """Return the sum of an item and the length of a function's data."""
    return item + len(data)


def add_both(pair: tuple[int, Any]) -> int:
    """Return the sum of a number and the length of data."""
    return add(*pair)


def sharing(
    holder: str, data: Any, count: int
) -> tuple[Callable[[Any], Any], list[Any]]:
    """Return the function and the items of tasks that share an object."""
    if holder == "items":
        return add_both, [(n, data) for n in range(count)]
    if holder == "partial":
        return partial(add, data=data), list(range(count))
    return lambda item: item + len(data), list(range(count))


def compute(seconds: float) -> float:
    """Occupy a core for some time."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return seconds


def work(cell: dict[str, Any]) -> tuple[Callable[[Any], Any], list[Any]]:
    """Return the function and the items of a cell."""
    kind, size, count = cell["kind"], cell["size"], cell["count"]
    if kind == "lognormal":
        rng = random.Random(1)
        return compute, [rng.lognormvariate(0, 1) * cell["cost"] for _ in range(count)]
    if cell["direction"] == "shared":
        return sharing(cell["holder"], payload(kind, size), count)
    if cell["direction"] == "out":
        return partial(give, kind=kind, size=size), list(range(count))
    if not size:
        return take, list(range(count))
    return take, [payload(kind, size, seed) for seed in range(count)]


def status(name: str) -> int:
    """Return a figure of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def measure(cell: dict[str, Any], all_results: Map, stream: Map) -> tuple[float, int]:
    """Return the seconds of a cell, and the growth of this process in bytes."""
    function, items = work(cell)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that from here
    before = status("VmRSS")
    begin = time.perf_counter()
    if cell["consumer"]:
        for _ in stream(function, items):
            time.sleep(cell["consumer"])
    else:
        results = list(all_results(function, items))
        assert len(results) == len(items)
    return time.perf_counter() - begin, max(0, status("VmHWM") - before)


def cells() -> Iterator[dict[str, Any]]:
    """Yield the cells that standard input asks for."""
    while (line := sys.stdin.readline()) and (cell := json.loads(line)) is not None:
        yield cell


def serve(all_results: Map, stream: Map) -> None:
    """Start the workers; run the cells."""
    list(all_results(take, range(100)))
    for cell in cells():
        print(json.dumps(measure(cell, all_results, stream)), flush=True)


def mpi_pool() -> None:
    """Run cells on `MPIPool`."""
    from mpiapps.comm import open_world
    from mpiapps.tasks.mpi_pool import MPIPool

    with open_world() as world, MPIPool(world.comm) as workers:
        if workers is not None:
            serve(workers.map, workers.imap)


def futures() -> None:
    """Run cells on mpi4py.futures."""
    from mpi4py import MPI
    from mpi4py.futures import MPICommExecutor

    executor: Any
    with MPICommExecutor(MPI.COMM_WORLD) as executor:
        if executor is not None:
            serve(executor.map, executor.map)


def pool() -> None:
    """Run cells on multiprocessing.Pool."""
    from multiprocessing import Pool

    with Pool(WORKERS) as processes:
        serve(processes.map, processes.imap)


def joblib() -> None:
    """Run cells on joblib."""
    from joblib import Parallel, delayed

    def run(function: Callable[[Any], Any], items: Iterable[Any], how: str) -> Any:
        calls = (delayed(function)(item) for item in items)
        return Parallel(WORKERS, return_as=how)(calls)

    serve(partial(run, how="list"), partial(run, how="generator"))


if __name__ == "__main__":
    {"mpiapps": mpi_pool, "futures": futures, "pool": pool, "joblib": joblib}[
        sys.argv[1]
    ]()
