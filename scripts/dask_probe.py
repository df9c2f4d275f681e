"""Measure a cluster for bench_dask.py.

usage: dask_probe.py mpiapps|dask-mpi|local|local-tcp TASKS [GRAPH]

Prints as JSON: the times of the first result and of the end, in seconds since the
epoch; no-op tasks per second, in three repeats; the seconds to transfer 200 MB from one
worker to another, in three repeats. With GRAPH, only the rates of TASKS no-op tasks and
of a graph of GRAPH tasks, in layers of 1,000; 0 leaves one out.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client, LocalCluster, get_client, wait

REPEATS = 3
WIDTH = 1000  # of a graph
TRANSFER_BYTES = 200_000_000


def noop(x: int) -> int:
    """Do nothing."""
    return x


def make(_: int) -> bytes:
    """Return incompressible data."""
    import os

    return os.urandom(TRANSFER_BYTES)


@contextmanager
def client_of(cluster_type: str) -> Iterator[Client]:
    """Yield a client of a cluster of the given type."""
    if cluster_type == "mpiapps":
        yield get_client()
    elif cluster_type == "dask-mpi":
        from dask_mpi import initialize

        initialize(nthreads=1, dashboard=False)
        with Client() as client:
            yield client
    else:
        cluster = LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            security=True if cluster_type == "local" else None,
            dashboard_address=None,
        )
        with cluster, Client(cluster) as client:
            yield client


def rates(client: Client, tasks: int, repeats: int = REPEATS) -> list[float]:
    """Return the tasks per second of each repeat."""
    results = []
    for _ in range(repeats if tasks else 0):
        start = time.perf_counter()
        client.gather(client.map(noop, range(tasks), pure=False))
        results.append(tasks / (time.perf_counter() - start))
    return results


def graph_rate(client: Client, tasks: int) -> float:
    """Return the tasks per second of a graph in which each task has one input."""
    graph: dict[tuple[str, int, int], tuple[Any, ...]] = {}
    depth = tasks // WIDTH
    for i in range(WIDTH):
        graph["x", 0, i] = (noop, i)
        for layer in range(1, depth):
            graph["x", layer, i] = (noop, ("x", layer - 1, i))
    start = time.perf_counter()
    result = client.get(graph, [("x", depth - 1, i) for i in range(WIDTH)])
    seconds = time.perf_counter() - start
    if list(result) != list(range(WIDTH)):
        raise ValueError("the graph returned other numbers")
    return depth * WIDTH / seconds


def transfers(client: Client) -> list[float]:
    """Return the seconds of transfers between the first two workers."""
    one, two, *_ = sorted(client.nthreads())
    results = []
    for i in range(REPEATS):
        data = client.submit(make, i, workers=one, pure=False)
        wait(data)
        start = time.perf_counter()
        wait(client.submit(len, data, workers=two, pure=False))
        results.append(time.perf_counter() - start)
    return results


def main() -> None:
    """Measure, and print the values."""
    cluster_type, tasks, *large = sys.argv[1], *map(int, sys.argv[2:])
    with client_of(cluster_type) as client:
        client.submit(noop, 1).result()
        if large:
            rate = rates(client, tasks, 1)[0] if tasks else 0.0
            graph = graph_rate(client, large[0]) if large[0] else 0.0
            print(json.dumps({"map": rate, "graph": graph}), flush=True)
            return
        values = {"first": time.time(), "rates": rates(client, tasks)}
        values["transfers"] = transfers(client) if tasks else []
        values["end"] = time.time()
        print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
