"""There are n items, 0 to n - 1, and the number of ranks does not always divide n.

Set `first` and `last` so that this rank has the items of range(first, last), and

- each item is on one rank, and the blocks are in the order of the ranks;
- two ranks differ by one item at most;
- it works for any n, also for fewer items than ranks, and for none.
"""

import sys

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size

n = int(sys.argv[1]) if len(sys.argv) > 1 else 10
share = n // size  # TODO: what becomes of the remainder, n % size?
first = rank * share
last = first + share
print(f"rank {rank}: items {first} to {last}, without {last}")
