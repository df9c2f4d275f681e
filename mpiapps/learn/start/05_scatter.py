"""Only rank 0 has the numbers 0, 1, ..., n - 1. Square them on all ranks.

1. Rank 0 cuts them into one list per rank (n is a multiple of the number of ranks),
   and comm.scatter sends each rank its own: `part`.
2. Each rank squares its part.
3. comm.gather brings the squares back: on rank 0, `squares` is one list of n numbers.
"""

import sys

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size

n = int(sys.argv[1]) if len(sys.argv) > 1 else 12
numbers = list(range(n)) if rank == 0 else None
part = numbers  # TODO: the part of this rank
squares = [x * x for x in part]  # TODO: on rank 0, the squares of all ranks
if rank == 0:
    print(squares)
