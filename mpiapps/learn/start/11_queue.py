"""Tasks of different length: rank 0 gives each free worker the next one.

The ranks above 0 are workers. This file fixes their tasks before it starts, so the
worker that has task 0, which is long, has as many others as everybody else.

- Each task is done once; `done` lists the tasks of this rank.
- Rank 0 has all results at the end: `results[task]`.
- A worker that is free asks for the next task, until there is none.
"""

import sys
import time

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 20
longest = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0


def work(task):
    time.sleep(longest if task == 0 else 0.01)
    return task * task


done = []  # the tasks of this rank, in their order
if rank == 0:
    results = {}
    for _ in range(tasks):  # TODO: send the next task to the worker that has answered
        task, value = comm.recv(source=MPI.ANY_SOURCE)
        results[task] = value
    print(f"{len(results)} of {tasks} results")
else:
    for task in range(rank - 1, tasks, size - 1):  # TODO: the tasks come from rank 0
        done.append(task)
        comm.send((task, work(task)), dest=0)
    print(f"rank {rank}: {done}")
