"""The product of bench_matrix.py by dask.array on two worker processes.

usage: dask_peer.py M N K CHUNK REPEATS

Prints the seconds of each repeat as JSON. Run by `make bench-matrix`.
"""

from __future__ import annotations

import json
import sys
import time

import dask.array as da
from dask.distributed import Client, wait

WORKERS = 2


def main() -> None:
    """Time products of arrays in the workers' memory, as mpiapps' are in the ranks'."""
    m, n, k, chunk, repeats = map(int, sys.argv[1:])
    with Client(
        n_workers=WORKERS, threads_per_worker=1, dashboard_address=None
    ) as client:
        seconds = []
        for _ in range(repeats):  # new arrays each time: Dask would reuse the results
            a = client.persist(da.random.random((m, k), chunks=chunk))
            b = client.persist(da.random.random((k, n), chunks=chunk))
            wait([a, b])
            start = time.perf_counter()
            wait(client.persist(a @ b))
            seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
