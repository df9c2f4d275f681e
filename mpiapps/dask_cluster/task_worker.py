"""Tasks of the engine on a worker of Dask, which gets them once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin

from mpiapps.tasks.task_set import TaskSet

if TYPE_CHECKING:
    from distributed import Worker

_tasks: list[TaskSet] = []  # of the worker in this process


class TaskPlugin(WorkerPlugin):
    """Gives a worker the tasks when it starts, also after a restart."""

    name = "mpiapps-tasks"

    def __init__(self, tasks: TaskSet) -> None:
        self._set = tasks

    def setup(self, worker: Worker) -> None:
        """Keep the tasks; called by the worker."""
        del worker
        _tasks[:] = [self._set]


def run_on_worker(number: int) -> tuple[int, Any]:
    """Return the number of a task and its result. On a worker."""
    return _tasks[0].run_one(number)
