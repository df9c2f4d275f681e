"""One sum on any number of ranks: mpiexec -n 4 python 07_reduce.py [n]."""

import math
import sys

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size

n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
block = range(rank * n // size, (rank + 1) * n // size)
numbers = [1.0 / (i + 1) for i in block]
blocks = comm.gather(numbers, root=0)
if rank == 0:
    total = math.fsum(x for block in blocks for x in block)  # exact in any order
    print(repr(total))
