"""NumPy's matrix products use all cores of the host, on each rank.

Four ranks on 8 cores would start 32 threads, which disturb each other: such a program
can be slower than on one rank. Set `threads` so that the ranks of this host, together,
have one thread per core, and at least one each. Pass it to BLAS in the variable
OMP_NUM_THREADS, which is read once, when NumPy is imported.
"""

import os
import sys

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
usable = len(os.sched_getaffinity(0))
cores = int(sys.argv[1]) if len(sys.argv) > 1 else usable  # of this host

threads = cores  # TODO: how many ranks share the cores?
# TODO: set OMP_NUM_THREADS in time

a = np.ones((200, 200))
print(f"rank {comm.rank}: {threads} threads, {np.sum(a @ a)}")
