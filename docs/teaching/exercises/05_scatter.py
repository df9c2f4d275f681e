"""Scatter and gather a list: mpiexec -n 4 python 05_scatter.py [n]."""

import sys

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size

n = int(sys.argv[1]) if len(sys.argv) > 1 else 12
parts = None
if rank == 0:
    numbers = list(range(n))
    share = n // size
    parts = [numbers[r * share : (r + 1) * share] for r in range(size)]
part = comm.scatter(parts, root=0)
gathered = comm.gather([x * x for x in part], root=0)
if rank == 0:
    squares = [x for block in gathered for x in block]
    print(squares)
