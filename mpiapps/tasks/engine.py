"""The task engine: independent tasks, on any executor, recorded and resumed.

A program states its tasks (`TaskSet`): how many there are, how one is done, how it is
recognised in a later run. `run_tasks` does the rest: it skips what earlier runs have
recorded, lets an executor do the others, records each result, stops before the
deadline, shows progress, and collects results and failures on the root.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpiapps.app.context import RunContext
from mpiapps.launch.mpi import MPI
from mpiapps.tasks.task_journal import TaskJournal, hashable
from mpiapps.tasks.task_set import Chunks, TaskFailure, TaskSet, Unfinished


@dataclass(frozen=True)
class TaskResults:
    """What `run_tasks` returns.

    Attributes
    ----------
    numbers : ndarray of int64
        Root only: the tasks that have a result, ascending.
    values : sequence
        Root only: their results.
    failures : dict of int to TaskFailure
        The tasks that failed; on all ranks.
    resumed : int
        Tasks whose results are from earlier runs.
    remaining : int
        Tasks that were not begun, since the run is to stop.
    total : int
    """

    numbers: np.ndarray
    values: Any
    failures: dict[int, TaskFailure]
    resumed: int
    remaining: int
    total: int

    def stop_if_remaining(self, ctx: RunContext, unit: str) -> None:
        """Raise `Checkpointed` on all ranks if tasks remain. Collective."""
        if self.remaining:
            done = self.total - self.remaining
            raise ctx.stop(
                f"stopped with {self.remaining} of {self.total} {unit} left",
                done / self.total,
            )


Stop = Callable[[], bool]
# Runs the tasks of chunks; all ranks call it. It yields numbers and results on the rank
# that keeps and records them, `None` during a long wait, and begins no more tasks once
# `Stop` returns true.
Results = Generator[tuple[int, Any] | None]
Executor = Callable[[RunContext, TaskSet, Chunks, Stop], Results]


def run_tasks(
    ctx: RunContext,
    tasks: TaskSet,
    executor: Executor,
    journal: TaskJournal | None = None,
) -> TaskResults:
    """Do all tasks that have no recorded result. Collective.

    Parameters
    ----------
    ctx : RunContext
    tasks : TaskSet
        Equal on all ranks.
    executor : Executor
        One of `mpiapps.tasks.executors`, or a function like them.
    journal : TaskJournal, optional
        Where results are recorded; without one a killed run starts over.

    Raises
    ------
    InputError
        On all ranks, if the directory has results of other work.
    LaunchError
        On all ranks, if another run uses the directory.

    Notes
    -----
    Cost, besides the executor's: a broadcast of a byte a task, a gather of the results.
    """
    world, journal = ctx.world, journal or TaskJournal()
    with ExitStack() as stack:
        with world.timed("plan"):
            stack.enter_context(
                ctx.locked(journal.directory, force_unlock=journal.force_unlock)
            )
            own = _RankResults(tasks)
            with world.timed(tasks.timer):  # in the record also if no task is left
                pass
            with world.agree():
                log = stack.enter_context(journal.open(world))
                recorded = log.recorded() if world.is_root else {}
            tasks.adopt(world, recorded)
            done = _resume(ctx, tasks, recorded, own)
            chunks = tasks.chunks(np.flatnonzero(~done), world.size)

        def stop() -> bool:
            return bool(journal.directory) and ctx.deadline.remaining() <= 0

        for result in stack.enter_context(closing(executor(ctx, tasks, chunks, stop))):
            if result is None:
                log.sync_if_due()
                continue
            number, value = result
            log.add(tasks.key(number), value)
            own.add(number, value)
        log.sync()
        with world.timed("gather"):
            return _gather(ctx, tasks, own, done)


def until(numbers: Sequence[int], stop: Stop) -> Iterator[int]:
    """Yield numbers as they are asked for, until the run is to stop."""
    for number in numbers:
        if stop():
            return
        yield number


def collect(
    ctx: RunContext,
    tasks: TaskSet,
    numbers: Sequence[int],
    results: Iterator[tuple[int, Any] | None],
) -> Results:
    """Yield the results that come to the root, with timer and progress. Root only."""
    with (
        ctx.world.timed(tasks.timer),
        ctx.progress(max(1, tasks.cost(numbers)), tasks.unit) as progress,
    ):
        for result in results:
            yield result
            if result is not None:
                ended = not isinstance(result[1], Unfinished)
                progress.add(tasks.cost([result[0]]) if ended else 0)


class _RankResults:
    """The results that this rank has. Local."""

    def __init__(self, tasks: TaskSet) -> None:
        self._tasks = tasks
        self.numbers: list[int] = []
        self.values: list[Any] = []
        self.failures: dict[int, TaskFailure] = {}

    def add(self, number: int, value: Any) -> None:
        if isinstance(value, Unfinished):
            return
        if isinstance(value, TaskFailure):
            self.failures[number] = value
            return
        self.numbers.append(number)
        self.values.append(self._tasks.for_root(number, value))


def _resume(
    ctx: RunContext, tasks: TaskSet, values: Mapping[Any, Any], own: _RankResults
) -> np.ndarray:
    """Return which tasks have recorded results; the root takes these. Collective."""
    done = np.zeros(len(tasks), bool)
    with ctx.world.agree():
        for number in range(len(tasks)) if values else ():
            key = hashable(tasks.key(number))
            if key in values and tasks.is_valid(number, values[key]):
                own.add(number, values[key])
                done[number] = True
    ctx.world.comm.Bcast(done)
    return done


def _gather(
    ctx: RunContext, tasks: TaskSet, own: _RankResults, done: np.ndarray
) -> TaskResults:
    """Bring the results to the root, in the order of their numbers. Collective."""
    world = ctx.world
    failures: dict[int, TaskFailure] = {}
    for part in world.objects.allgather(own.failures):
        failures |= part
    begun = done.astype(np.uint8)
    begun[own.numbers] = begun[list(failures)] = 1
    world.comm.Allreduce(MPI.IN_PLACE, begun, op=MPI.MAX)
    remaining = int((begun == 0).sum())
    part = np.array(own.numbers, np.int64), tasks.pack(own.values)
    parts = world.objects.gather(part, root=world.root)
    numbers = np.empty(0, np.int64)
    values: Any = []
    if parts is not None:
        numbers = np.concatenate([each for each, _ in parts])
        order = np.argsort(numbers, kind="stable")
        numbers = numbers[order]
        if isinstance(parts[0][1], np.ndarray):
            values = np.concatenate([each for _, each in parts])[order]
        else:
            every = [value for _, each in parts for value in each]
            values = [every[n] for n in order.tolist()]
    return TaskResults(
        numbers, values, failures, int(done.sum()), remaining, len(tasks)
    )
