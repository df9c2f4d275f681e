"""Heat in a rod: mpiexec -n 4 python 10_halo.py [n [steps]]."""

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
    comm.Sendrecv(u[1:2], dest=left, recvbuf=u[-1:], source=right)
    comm.Sendrecv(u[-2:-1], dest=right, recvbuf=u[:1], source=left)
    u[1:-1] += 0.25 * (u[:-2] - 2 * u[1:-1] + u[2:])

blocks = comm.gather(u[1:-1], root=0)
if rank == 0:
    result = np.concatenate(blocks)
    print(result)
