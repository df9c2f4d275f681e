"""Each rank computes a value. Rank 0 prints all of them, in the order of the ranks:

    rank 0 has 0
    rank 1 has 1
    rank 2 has 4

The other ranks print nothing. Run this file several times on 4 ranks as it is, and
look at the order of the lines.
"""

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank = comm.rank
value = rank * rank
# TODO: bring the values to rank 0 with comm.gather, and print them there.
print(f"rank {rank} has {value}")
