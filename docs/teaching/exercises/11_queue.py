"""A work queue: mpiexec -n 4 python 11_queue.py [tasks [seconds of task 0]]."""

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
    waiting = iter(range(tasks))
    status = MPI.Status()
    for _ in range(tasks + size - 1):  # each result, and each worker's first message
        answer = comm.recv(source=MPI.ANY_SOURCE, status=status)
        if answer is not None:
            results[answer[0]] = answer[1]
        comm.send(next(waiting, None), dest=status.source)  # None: stop
    print(f"{len(results)} of {tasks} results")
else:
    comm.send(None, dest=0)
    while (task := comm.recv(source=0)) is not None:
        done.append(task)
        comm.send((task, work(task)), dest=0)
    print(f"rank {rank}: {done}")
