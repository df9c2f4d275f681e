"""Tasks for any executor: workers load this module, and no MPI."""

from mpiapps.comm.random import spawned_generators
from mpiapps.tasks.task_set import TaskSet


class Roots(TaskSet):
    """Tasks that can be pickled: roots of the first random number of each."""

    n_jobs = 2

    def __len__(self):
        return 7

    def run(self, numbers):
        for generator in spawned_generators(5, numbers):
            yield generator.random() ** 0.5


class TeamSizes(TaskSet):
    """Task n takes `sizes[n]` ranks; its result is what they see of each other."""

    def __init__(self, sizes):
        self.sizes = sizes

    def __len__(self):
        return len(self.sizes)

    def run(self, numbers):
        raise TypeError(numbers)

    def ranks(self, number):
        return self.sizes[number]

    def run_on(self, comm, number):
        del number
        return comm.allgather(comm.size)
