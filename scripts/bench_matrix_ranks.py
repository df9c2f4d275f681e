"""The part of bench_matrix.py that runs on ranks.

usage: bench_matrix_ranks.py OPERATION M N K REPEATS
OPERATION is multiply, cholesky, solve, npy-posix or npy-mpiio.

Rank 0 prints the seconds of each repeat as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mpiapps.comm import open_world
from mpiapps.comm.world import World
from mpiapps.linalg.cholesky import cholesky
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.grid_choice import choose_grid
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.npy import read_npy, write_npy
from mpiapps.linalg.solve import solve


def work(world: World, operation: str, m: int, n: int, k: int) -> Callable[[], object]:
    """Create the operands; return the function to time. Collective."""
    comm = world.comm
    rng = np.random.default_rng(comm.rank)

    def random(shape: tuple[int, int], layout: Layout | None = None) -> DistMatrix:
        matrix = DistMatrix.zeros(comm, shape, layout=layout)
        matrix.local[...] = rng.random(matrix.local.shape) - 0.5
        return matrix

    if operation == "multiply":
        layouts = choose_grid(m, n, k, comm.size).layouts(m, n, k)
        a, b = random((m, k), layouts[0]), random((k, n), layouts[1])
        return lambda: a @ b
    if operation.startswith("npy"):
        path = Path(comm.bcast(tempfile.mkdtemp())) / "x.npy"
        method, a = operation.removeprefix("npy-"), random((m, n))
        a = a.redistribute(choose_grid(m, n, 1, comm.size).layouts(m, n, 1)[2])

        def write_and_read() -> None:
            write_npy(path, a, method=method)
            read_npy(comm, path, method=method)

        return write_and_read
    a = random((m, m))
    if operation == "cholesky":
        a.local[a.row_indices[:, None] == a.col_indices] += float(m)
        return lambda: cholesky(a)
    b = random((m, n))
    return lambda: solve(a, b, refinements=0)


def main() -> None:
    """Measure the operation on all ranks."""
    operation, *numbers = sys.argv[1:]
    m, n, k, repeats = map(int, numbers)
    with open_world() as world:
        call = work(world, operation, m, n, k)
        seconds = []
        for _ in range(repeats):
            world.comm.Barrier()
            start = time.perf_counter()
            call()
            world.comm.Barrier()
            seconds.append(time.perf_counter() - start)
        if world.is_root:
            print(json.dumps(seconds))


if __name__ == "__main__":
    main()
