"""Heat in a rod of n cells, on any number of ranks, as on one.

Each rank has a block of cells in u[1:-1]. u[0] and u[-1] are its halo: copies of the
neighbours' edge cells, and 0 at the two ends of the rod. In each step the halo is
needed, and this file never fills it.
"""

import sys

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
left = rank - 1 if rank > 0 else MPI.PROC_NULL  # nothing is sent there
right = rank + 1 if rank < size - 1 else MPI.PROC_NULL

n = int(sys.argv[1]) if len(sys.argv) > 1 else 24
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 10
first, last = rank * n // size, (rank + 1) * n // size
u = np.zeros(last - first + 2)
u[1:-1] = np.arange(first, last) < n // 2  # the left half is hot

for _ in range(steps):
    # TODO: exchange the halo: u[0] with the left neighbour, u[-1] with the right one
    u[1:-1] += 0.25 * (u[:-2] - 2 * u[1:-1] + u[2:])

blocks = comm.gather(u[1:-1], root=0)
if rank == 0:
    result = np.concatenate(blocks)
    print(result)
