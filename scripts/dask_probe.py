"""Measure a cluster for bench_dask.py: dask_probe.py mpiapps|dask-mpi|local TASKS.

Prints as JSON: the times of the first result and of the end, in seconds since the
epoch; no-op tasks per second, in three repeats; the seconds to transfer 200 MB from one
worker to another, in three repeats.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, LocalCluster, get_client, wait

REPEATS = 3
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
            n_workers=2, threads_per_worker=1, security=True, dashboard_address=None
        )
        with cluster, Client(cluster) as client:
            yield client


def rates(client: Client, tasks: int) -> list[float]:
    """Return the tasks per second of each repeat."""
    results = []
    for _ in range(REPEATS if tasks else 0):
        start = time.perf_counter()
        client.gather(client.map(noop, range(tasks), pure=False))
        results.append(tasks / (time.perf_counter() - start))
    return results


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
    cluster_type, tasks = sys.argv[1], int(sys.argv[2])
    with client_of(cluster_type) as client:
        client.submit(noop, 1).result()
        values = {"first": time.time(), "rates": rates(client, tasks)}
        values["transfers"] = transfers(client) if tasks else []
        values["end"] = time.time()
        print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
