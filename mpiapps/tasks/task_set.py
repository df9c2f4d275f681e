"""Independent tasks, as a program states them for the task engine. Starts no MPI."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mpiapps.comm.pickling import Dumps

if TYPE_CHECKING:
    from mpi4py import MPI

    from mpiapps.comm.world import World

Chunks = Sequence[Sequence[int]]  # numbers of tasks that are done together


@dataclass(frozen=True, order=True)
class TaskFailure:
    """Why a task failed.

    Ordered: of several, the least is reported, whatever the order in which they came.

    Attributes
    ----------
    number : int
        The task's number.
    reason : str
        One line.
    stack : str
        The lines of code that were run: failures with equal ones are shown once.
    traceback : str
    """

    number: int
    reason: str
    stack: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class Unfinished:
    """The result of an attempt whose task is run again, in this run or the next.

    Attributes
    ----------
    record
        For the journal.
    """

    record: Any


class TaskSet(ABC):
    """Independent tasks, numbered from 0; the same on all ranks.

    A task that draws random numbers takes its generator from
    `mpiapps.comm.random.spawned_generators`, by seed and number: its result is then the
    same on any rank, executor and attempt.

    Attributes
    ----------
    unit : str
        The name of what `cost` counts, for progress.
    timer : str
        The name of the timer of `run`.
    nbytes : int
        Bytes of the data that a worker must have to run tasks.
    n_jobs : int
        Workers of joblib; 0 for as many as the host has processors.
    """

    unit = "tasks"
    timer = "kernel"
    nbytes = n_jobs = 0

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of tasks."""

    @abstractmethod
    def run(self, numbers: Sequence[int]) -> Iterator[Any]:
        """Yield the result of each task, as JSON holds it, or a `TaskFailure`."""

    @property
    def dumps(self) -> Dumps:
        """The function that pickles the results of a child process."""
        return pickle.dumps

    def prepare(self) -> None:  # noqa: B027 - most have nothing to import
        """Import what `run` needs: called where time limits are measured."""

    def run_one(self, number: int) -> tuple[int, Any]:
        """Return the number of a task and its result."""
        return number, next(iter(self.run([number])))

    def ranks(self, number: int) -> int:
        """Return how many ranks a task takes, for the executor `teams`."""
        del number
        return 1

    def run_on(self, comm: MPI.Intracomm, number: int) -> Any:
        """Return the result of a task of several ranks. Collective over `comm`."""
        del comm
        return self.run_one(number)[1]

    def key(self, number: int) -> Any:
        """Return what identifies a task in a later run, as JSON holds it."""
        return number

    def adopt(self, world: World, keys: Collection[Any]) -> None:  # noqa: B027 - most do not depend on earlier runs
        """Change the tasks to those of earlier runs. Collective, before any is run.

        `keys`: on the root, those of recorded results. By default tasks do not depend
        on earlier runs.
        """

    def chunks(self, pending: np.ndarray, size: int) -> Chunks:
        """Return the pending tasks in chunks for `size` ranks, the longest first."""
        del size
        return [[number] for number in pending.tolist()]

    def cost(self, numbers: Sequence[int]) -> float:
        """Return the units of work in tasks."""
        return len(numbers)

    def is_valid(self, number: int, value: Any) -> bool:
        """Return whether a recorded result still holds. Root only."""
        del number, value
        return True

    def for_root(self, number: int, value: Any) -> Any:
        """Return the part of a result that the root needs; keep the rest here."""
        del number
        return value

    def pack(self, values: list[Any]) -> Any:
        """Return results as they are sent to the root: a list, or an array of rows."""
        return values
