"""The ranks form a ring: 0, 1, ..., size - 1, and then 0 again.

Set `left` and `right` to the ranks of the neighbours, on any number of ranks. On a
ring of one rank, both are that rank itself.
"""

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
left = rank - 1  # TODO: who is left of rank 0?
right = rank + 1  # TODO: who is right of the last rank?
print(f"rank {rank}: between {left} and {right}")
