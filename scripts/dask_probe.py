"""What bench_dask.py runs on each cluster: dask_probe.py ours|dask-mpi|local TASKS.

Prints, as JSON: when it had a first result and when it ended, in seconds since 1970;
the no-op tasks per second of three repeats; the seconds of 200 MB from one worker to
another, three times.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, LocalCluster, get_client, wait

REPEATS = 3
SIZE = 200_000_000  # bytes between workers


def noop(x: int) -> int:
    """Do nothing."""
    return x


def make(_: int) -> bytes:
    """Return what is sent: no compression makes it smaller."""
    import os

    return os.urandom(SIZE)


@contextmanager
def client_of(way: str) -> Iterator[Client]:
    """Yield a client of the cluster."""
    if way == "ours":
        yield get_client()
    elif way == "dask-mpi":
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
    """Return tasks per second of some repeats."""
    found = []
    for _ in range(REPEATS if tasks else 0):
        start = time.perf_counter()
        client.gather(client.map(noop, range(tasks), pure=False))
        found.append(tasks / (time.perf_counter() - start))
    return found


def transfers(client: Client) -> list[float]:
    """Return the seconds of some transfers between the first two workers."""
    one, two, *_ = sorted(client.nthreads())
    found = []
    for i in range(REPEATS):
        data = client.submit(make, i, workers=one, pure=False)
        wait(data)
        start = time.perf_counter()
        wait(client.submit(len, data, workers=two, pure=False))
        found.append(time.perf_counter() - start)
    return found


def main() -> None:
    """Measure."""
    way, tasks = sys.argv[1], int(sys.argv[2])
    with client_of(way) as client:
        client.submit(noop, 1).result()
        found = {"first": time.time(), "rates": rates(client, tasks)}
        found["transfers"] = transfers(client) if tasks else []
        found["end"] = time.time()
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
