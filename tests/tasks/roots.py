"""Tasks for any executor: workers load this module, and no MPI."""

from mpiapps.tasks.task_set import TaskSet


class Roots(TaskSet):
    """Tasks that can be pickled."""

    n_jobs = 2

    def __len__(self):
        return 7

    def run(self, numbers):
        yield from (number**0.5 for number in numbers)


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
