"""Each rank draws n random numbers `x`.

- No two ranks have a number in common.
- The same seed gives the same numbers again, on the same number of ranks.
- Runs with different seeds have no number in common either, on any of their ranks.
"""

import sys

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
seed = int(sys.argv[1]) if len(sys.argv) > 1 else 7
n = int(sys.argv[2]) if len(sys.argv) > 2 else 5
rng = np.random.default_rng(seed)  # TODO: a stream of its own for each rank
x = rng.random(n)
print(f"rank {comm.rank}: {x[:3]}")
