"""Step 4, numbered darts: mpiexec -n 4 python pi_4_counter.py [samples]."""

import sys

import numba
import numpy as np
from mpi4py import MPI

from mpiapps.comm.partition import block
from mpiapps.kernels.philox import philox

LOW, HALF, ZERO = np.uint64(2**32 - 1), np.uint64(32), np.uint64(0)
SCALE = 2.0**-32


@numba.njit
def count_inside(first, last, seed):
    inside = 0
    for dart in range(first, last):  # dart n depends on the seed and n alone
        n = np.uint64(dart)
        words = philox(n & LOW, n >> HALF, ZERO, ZERO, np.uint64(seed), ZERO)
        x, y = ((words[0] & LOW) + 0.5) * SCALE, ((words[1] & LOW) + 0.5) * SCALE
        inside += x * x + y * y <= 1
    return inside


comm = MPI.COMM_WORLD
n = int(float(sys.argv[1] if len(sys.argv) > 1 else "1e8"))
share = block(n, comm.size, comm.rank)
inside = count_inside(share.start, share.stop, 7)
counts = comm.gather(inside, root=0)
if comm.rank == 0:
    print(counts, 4 * sum(counts) / n)
