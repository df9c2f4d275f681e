"""Add the numbers of all ranks. The sum has the same bits on 1, 2, 3 and 4 ranks.

This file adds them with comm.reduce. Run it on 1 to 4 ranks and compare the last
digits: they differ. Then change it, so that rank 0 has one `total` on any number of
ranks.
"""

import sys

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size

n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
block = range(rank * n // size, (rank + 1) * n // size)
numbers = [1.0 / (i + 1) for i in block]
partial = 0.0
for x in numbers:
    partial += x
total = comm.reduce(partial, op=MPI.SUM, root=0)  # TODO: which order is this?
if rank == 0:
    print(repr(total))
