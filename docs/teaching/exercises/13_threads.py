"""Threads that fit the cores: mpiexec -n 4 python 13_threads.py [cores]."""

import os
import sys

from mpi4py import MPI

comm = MPI.COMM_WORLD
usable = len(os.sched_getaffinity(0))
cores = int(sys.argv[1]) if len(sys.argv) > 1 else usable

here = comm.Split_type(MPI.COMM_TYPE_SHARED)  # the ranks of this host
threads = max(1, cores // here.size)
os.environ["OMP_NUM_THREADS"] = str(threads)

import numpy as np  # noqa: E402 - its BLAS reads the variable when it is loaded

a = np.ones((200, 200))
print(f"rank {comm.rank}: {threads} threads, {np.sum(a @ a)}")
