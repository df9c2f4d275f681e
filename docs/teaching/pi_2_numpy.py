"""Step 2, NumPy in chunks: mpiexec -n 4 python pi_2_numpy.py [samples]."""

import sys

import numpy as np
from mpi4py import MPI

CHUNK = 2**15  # pairs of 8-byte numbers that stay in the cache


def count_inside(n, rng):
    inside = 0
    for start in range(0, n, CHUNK):
        x, y = rng.random((2, min(CHUNK, n - start)))
        inside += np.count_nonzero(x * x + y * y <= 1)
    return int(inside)


comm = MPI.COMM_WORLD
n = int(float(sys.argv[1] if len(sys.argv) > 1 else "1e8")) // comm.size
children = np.random.SeedSequence(7).spawn(comm.size)  # one stream per rank
inside = count_inside(n, np.random.default_rng(children[comm.rank]))
counts = comm.gather(inside, root=0)
if comm.rank == 0:
    print(counts, 4 * sum(counts) / (n * comm.size))
