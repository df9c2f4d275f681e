"""Amdahl's law: mpiexec -n 4 python 12_amdahl.py [serial [items [cost]]]."""

import sys

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
serial = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
items = int(sys.argv[2]) if len(sys.argv) > 2 else 10
cost = float(sys.argv[3]) if len(sys.argv) > 3 else 0.9

share = items // size + (rank < items % size)
mine = serial + share * cost
one = serial + items * cost
time = comm.allreduce(mine, op=MPI.MAX)  # the last rank ends the run
speedup = one / time
efficiency = speedup / size
limit = one / serial  # what remains if the parallel part takes no time
if rank == 0:
    print(f"{size} ranks: {time} s, speed-up {speedup:.3f} of at most {limit:.3f}")
