"""Tasks that kill their rank, with ulfm: survivor.py DIRECTORY KILLS POISON."""

import os
import signal
import sys
import time
from pathlib import Path

from mpiapps.comm import open_world
from mpiapps.tasks.mpi_pool import MPIPool
from mpiapps.tasks.task import TaskError


def task(item):
    number, directory, kills, poison = item
    time.sleep(0.01)
    mark = Path(directory, f"{number}")
    if number == poison or (number < kills and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


if __name__ == "__main__":
    directory, kills, poison = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with open_world() as world:
        with MPIPool(world.comm) as tasks:
            if tasks is not None:
                items = [(n, directory, kills, poison) for n in range(60)]
                try:
                    squares = tasks.map(task, items, chunksize=1)
                    assert squares == [n * n for n in range(60)]
                except TaskError as error:
                    print("poison:", error)
                print("lost", len(tasks.lost))
        world.shrink()
        total = world.comm.allreduce(1)
        if world.is_root:
            print("left", total, world.size)
