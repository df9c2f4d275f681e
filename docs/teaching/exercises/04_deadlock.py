"""Exchange on a ring, for any n: mpiexec -n 4 python 04_deadlock.py [n]."""

import sys

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
left, right = (rank - 1) % size, (rank + 1) % size

n = int(sys.argv[1]) if len(sys.argv) > 1 else 10
numbers = np.full(n, rank)
received = np.empty_like(numbers)
comm.Sendrecv(numbers, dest=right, recvbuf=received, source=left)
print(f"rank {rank} has the numbers of rank {received[0]}")
