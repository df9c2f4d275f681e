"""The root prints the values of all ranks: mpiexec -n 4 python 03_who_prints.py."""

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank = comm.rank
value = rank * rank
values = comm.gather(value, root=0)  # every rank calls it
if rank == 0:
    for number, each in enumerate(values):
        print(f"rank {number} has {each}")
