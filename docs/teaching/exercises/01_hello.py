"""Hello from every rank: mpiexec -n 4 python 01_hello.py."""

from mpi4py import MPI

comm = MPI.COMM_WORLD
print(f"Hello from rank {comm.rank} of {comm.size}")
