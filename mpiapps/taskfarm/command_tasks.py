"""Commands as tasks of the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mpiapps.storage.journal import Record
from mpiapps.taskfarm.task_list import Task
from mpiapps.tasks.task_set import Chunks, TaskSet


class CommandTasks(TaskSet):
    """Commands, as tasks of the engine. Their results are exit codes.

    Parameters
    ----------
    commands : mapping of str to Task
        By identity; the root's alone are used.
    count : int
        Their number, equal on all ranks.
    """

    timer = "tasks"

    def __init__(self, commands: Mapping[str, Task], count: int) -> None:
        self.names, self.tasks = list(commands), list(commands.values())
        self._count = count

    def __len__(self) -> int:
        """Return the number of commands."""
        return self._count

    def run(self, numbers: Sequence[int]) -> Iterator[Any]:
        """Raise `TypeError`: only a `SlotExecutor` runs commands."""
        raise TypeError(f"commands run on a SlotExecutor, not by run({numbers})")

    def key(self, number: int) -> str:
        """Return the identity."""
        return self.names[number]

    def chunks(self, pending: np.ndarray, size: int) -> Chunks:
        """Return the pending commands in one chunk: the root assigns them."""
        del size
        return [pending.tolist()] if self.tasks else []

    def for_root(self, number: int, value: Record) -> int:
        """Return the exit code of a record."""
        del number
        return int(value["code"])

    def pack(self, values: list[int]) -> np.ndarray:
        """Return exit codes as an array."""
        return np.array(values, np.int64)
