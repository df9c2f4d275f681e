"""Tasks for any executor: workers load this module, and no MPI."""

from mpiapps.tasks.task_set import TaskSet


class Roots(TaskSet):
    """Tasks that can be pickled."""

    n_jobs = 2

    def __len__(self):
        return 7

    def run(self, numbers):
        yield from (number**0.5 for number in numbers)
