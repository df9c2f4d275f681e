"""Neighbours on a ring: mpiexec -n 4 python 02_neighbours.py."""

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
left = (rank - 1) % size
right = (rank + 1) % size
print(f"rank {rank}: between {left} and {right}")
