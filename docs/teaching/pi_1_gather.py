"""Pi on MPI ranks in pure Python: mpiexec -n 4 python pi_1_gather.py [samples]."""

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
n = int(float(sys.argv[1] if len(sys.argv) > 1 else "1e6")) // comm.size
inside = count_inside(n)
print(f"rank {comm.rank}: {inside} of {n}")
counts = comm.gather(inside, root=0)
if comm.rank == 0:
    print(counts, 4 * sum(counts) / (n * comm.size))
