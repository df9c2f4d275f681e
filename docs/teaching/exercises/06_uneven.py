"""Uneven blocks: mpiexec -n 4 python 06_uneven.py [n]."""

import sys

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size

n = int(sys.argv[1]) if len(sys.argv) > 1 else 10
share, rest = divmod(n, size)
first = rank * share + min(rank, rest)  # each of the first `rest` ranks has one more
last = first + share + (rank < rest)
print(f"rank {rank}: items {first} to {last}, without {last}")
