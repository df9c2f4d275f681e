"""Predict the time on `size` ranks before you ask for them.

A program has a serial part of `serial` seconds, which each rank repeats, and `items`
items of `cost` seconds each, which the ranks share as evenly as they can. `mine` is the
time of this rank. Set on rank 0:

- time: of the run, which ends when its last rank does;
- speedup: time on one rank / time;
- efficiency: speedup per rank, between 0 and 1;
- limit: the speedup that no number of ranks exceeds (Amdahl's law).
"""

import sys

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
serial = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
items = int(sys.argv[2]) if len(sys.argv) > 2 else 10
cost = float(sys.argv[3]) if len(sys.argv) > 3 else 0.9

share = items // size + (rank < items % size)
mine = serial + share * cost
time = mine  # TODO: which rank is the last?
speedup = size  # TODO: is it?
efficiency = 1.0
limit = size
if rank == 0:
    print(f"{size} ranks: {time} s, speed-up {speedup:.3f} of at most {limit:.3f}")
