"""A random stream for each rank: mpiexec -n 4 python 09_random.py [seed [n]]."""

import sys

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
seed = int(sys.argv[1]) if len(sys.argv) > 1 else 7
n = int(sys.argv[2]) if len(sys.argv) > 2 else 5
children = np.random.SeedSequence(seed).spawn(comm.size)
rng = np.random.default_rng(children[comm.rank])
x = rng.random(n)
print(f"rank {comm.rank}: {x[:3]}")
