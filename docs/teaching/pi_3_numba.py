"""Step 3, a compiled loop: mpiexec -n 4 python pi_3_numba.py [samples]."""

import sys

import numba
import numpy as np
from mpi4py import MPI


@numba.njit
def count_inside(n, seed):
    np.random.seed(seed)
    inside = 0
    for _ in range(n):
        x, y = np.random.random(), np.random.random()
        if x * x + y * y <= 1:
            inside += 1
    return inside


comm = MPI.COMM_WORLD
n = int(float(sys.argv[1] if len(sys.argv) > 1 else "1e8")) // comm.size
# Different seeds do not guarantee independent streams.
inside = count_inside(n, 7 + comm.rank)
counts = comm.gather(inside, root=0)
if comm.rank == 0:
    print(counts, 4 * sum(counts) / (n * comm.size))
