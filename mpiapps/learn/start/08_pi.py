"""Estimate pi from random darts, on all ranks together.

Of the darts in the unit square, about pi / 4 are in the quarter circle. The ranks share
the samples: each throws `n` of them and counts those `inside`. comm.gather brings the
counts to rank 0, as the list `counts`, and rank 0 prints pi.
"""

import random
import sys

from mpi4py import MPI


def count_inside(n):
    inside = 0
    for _ in range(n):
        x, y = random.random(), random.random()
        if x**2 + y**2 <= 1:
            inside += 1
    return inside


comm = MPI.COMM_WORLD
samples = int(float(sys.argv[1] if len(sys.argv) > 1 else "1e6"))
n = samples  # TODO: the share of this rank
inside = count_inside(n)
counts = [inside]  # TODO: on rank 0, the counts of all ranks
print(4 * sum(counts) / n)  # TODO: rank 0, once, from all darts
