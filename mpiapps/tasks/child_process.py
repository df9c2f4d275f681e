"""Tasks in child processes: a time limit, retries, and a crash costs one task."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mpiapps.tasks.task_child import TaskChild
from mpiapps.tasks.task_set import Chunks, TaskFailure, TaskSet


class InChildProcess(TaskSet):
    """Tasks that run in a child process of the process that would run them.

    A `TaskSet` itself, so any executor runs it. A task that ends its process, or takes
    too long, fails alone.

    Parameters
    ----------
    tasks : TaskSet
        Picklable; each child gets it once.
    seconds : float
        Time limit of a task; 0: none.
    retries : int
        Times that a task that failed is run again; one that raises an error is not.
    max_tasks : int
        Tasks after which a child is replaced, for code that leaks memory; 0: never.

    Notes
    -----
    Cost: some 0.1 ms a task, and the start of Python with the imports of the tasks for
    each child. A process that a task starts in a session of its own outlives it.
    """

    def __init__(
        self, tasks: TaskSet, seconds: float = 0, retries: int = 0, max_tasks: int = 0
    ) -> None:
        self._tasks, self._seconds, self._retries = tasks, seconds, retries
        self._max_tasks, self._token = max_tasks, secrets.token_hex(8)
        self.unit, self.timer = tasks.unit, tasks.timer
        self.nbytes, self.n_jobs = tasks.nbytes, tasks.n_jobs
        self._children = threading.local()  # a child for each thread that runs tasks

    def __reduce__(self) -> Any:
        """Return how to make the copy of a process, which has its own children."""
        limits = self._seconds, self._retries, self._max_tasks
        return _copy, (self._token, self._tasks, *limits)

    def __len__(self) -> int:
        """Return the number of tasks."""
        return len(self._tasks)

    def run(self, numbers: Sequence[int]) -> Iterator[Any]:
        """Yield the result of each task, or a `TaskFailure`."""
        for number in numbers:
            for _ in range(1 + self._retries):
                value = self._attempt(number)
                if not isinstance(value, TaskFailure):
                    break
            yield value

    def close(self) -> None:
        """End the child of this thread."""
        if (child := getattr(self._children, "child", None)) is not None:
            child.kill()
            self._children.child = None

    def _attempt(self, number: int) -> Any:
        child = getattr(self._children, "child", None)
        if child is None or child.has_ended or child.count == self._max_tasks > 0:
            self.close()
            child = self._children.child = TaskChild(self._tasks)
        return child.run(number, self._seconds)

    def ranks(self, number: int) -> int:
        """Return 1; raise `TypeError` for a task of several ranks."""
        if (ranks := self._tasks.ranks(number)) != 1:
            raise TypeError(
                f"task {number} takes {ranks} ranks, and a child process is not a rank:"
                " run these tasks without InChildProcess"
            )
        return ranks

    def key(self, number: int) -> Any:
        """Return what identifies a task in a later run."""
        return self._tasks.key(number)

    def chunks(self, pending: np.ndarray, size: int) -> Chunks:
        """Return the pending tasks in chunks."""
        return self._tasks.chunks(pending, size)

    def cost(self, numbers: Sequence[int]) -> float:
        """Return the units of work in tasks."""
        return self._tasks.cost(numbers)

    def is_valid(self, number: int, value: Any) -> bool:
        """Return whether a recorded result still holds. Root only."""
        return self._tasks.is_valid(number, value)

    def for_root(self, number: int, value: Any) -> Any:
        """Return the part of a result that the root needs."""
        return self._tasks.for_root(number, value)

    def pack(self, values: list[Any]) -> Any:
        """Return results as they are sent to the root."""
        return self._tasks.pack(values)


_copies: dict[str, InChildProcess] = {}  # the last one: joblib sends one with each task


def _copy(token: str, *arguments: Any) -> InChildProcess:
    """Return the copy that this process has, with its children, or a new one."""
    if token not in _copies:
        _copies.clear()
        _copies[token] = InChildProcess(*arguments)
        _copies[token]._token = token
    return _copies[token]
