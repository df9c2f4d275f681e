"""Each rank sends n numbers to its right neighbour, and receives n from its left one.

With 10 numbers this file works, on 2 ranks. Try it with a million: with most MPI
libraries it hangs, and Ctrl-C ends it. The check shows in which line each rank waits.
Change the exchange so that it works for any n, also if every Send waits for its
receiver, as MPI permits.
"""

import sys

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
left, right = (rank - 1) % size, (rank + 1) % size

n = int(sys.argv[1]) if len(sys.argv) > 1 else 10
numbers = np.full(n, rank)
received = np.empty_like(numbers)
comm.Send(numbers, dest=right)  # TODO: who receives while all ranks send?
comm.Recv(received, source=left)
print(f"rank {rank} has the numbers of rank {received[0]}")
