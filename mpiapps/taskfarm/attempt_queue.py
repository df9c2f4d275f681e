"""Which command runs next, where, and whether it is run again."""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import InputError, RankExited
from mpiapps.base.streams import abbreviated
from mpiapps.storage.journal import Record
from mpiapps.taskfarm.dependencies import Dependencies
from mpiapps.taskfarm.halt import Halt
from mpiapps.taskfarm.slot_scheduler import SlotScheduler
from mpiapps.taskfarm.task_list import Task
from mpiapps.taskfarm.task_process import STOPPED

CRASH_LIMIT = 2  # retries, alone, of a task whose helper was killed or host was lost
DEPENDENCY = "a failed dependency"  # reason of a task that waits for one that failed
RETRY_DELAY, MAX_RETRY_DELAY = 0.1, 60.0  # s before a retry; doubles each time


@dataclass(frozen=True)
class TaskAttempt:
    """One execution of a task.

    Attributes
    ----------
    name : str
        Identity of the task.
    attempt : int
        Its number, from 1, over all runs.
    task : Task
    log : str
        File for its output.
    alone : bool
        Whether to run it under a helper of its own, since it ran when a helper was
        killed and may have caused that.
    """

    name: str
    attempt: int
    task: Task
    log: str
    alone: bool = False


class AttemptQueue:
    """Tasks that are to run, run, and are run again.

    Parameters
    ----------
    tasks : sequence of Task
    pending : sequence of int
        Numbers of the tasks to run.
    cores : sequence of int
        Cores of each host.
    deadline : Deadline
        When the run stops.
    drain : float
        Seconds that running tasks get to end when the run stops.
    halt : Halt, optional
        When no further task starts; tasks that earlier runs have done count.

    Attributes
    ----------
    failed : set of int
        Tasks without a retry left.
    lost : set of int
        Tasks that ran when their helper was killed.
    tries : Counter
        Ended attempts of each task in this run; stopped ones do not count.
    not_run : list of (int, str)
        Tasks that failed without an attempt's record, and why, for the caller to take.

    Raises
    ------
    InputError
        If a task fits on no host, or the dependencies cannot be met.
    """

    def __init__(  # noqa: PLR0913 - independent; the scheduler's and the run's
        self,
        tasks: Sequence[Task],
        pending: Sequence[int],
        cores: Sequence[int],
        deadline: Deadline,
        drain: float,
        *,
        halt: Halt | None = None,
    ) -> None:
        self._tasks, self._deadline, self._halt = tasks, deadline, halt or Halt()
        self._done = len(tasks) - len(pending)
        self._drain, self._drain_end = drain, float("inf")
        self._scheduler = SlotScheduler(cores)
        self._dependencies = Dependencies(tasks, pending)
        for number in pending:
            if tasks[number].cores > max(cores):
                raise InputError(
                    f"{abbreviated(tasks[number].command)}: needs"
                    f" {tasks[number].cores} cores, and the largest host has"
                    f" {max(cores)}"
                )
        for number in self._dependencies.ready:
            self._scheduler.enqueue(number, tasks[number].cores)
        self.tries = Counter[int]()
        self.lost: set[int] = set()
        self.failed: set[int] = set()
        self.not_run: list[tuple[int, str]] = []
        self._lost_hosts = Counter[int]()  # how many each task has run on
        self._running: dict[int, int] = {}  # task -> host
        self._retries: list[tuple[float, int]] = []  # heap of times and tasks
        self._seconds = deque[float](maxlen=101)  # wall times of the last tasks

    def next(self) -> tuple[int, int] | None:
        """Return a task that can start now, and its host; else `None`."""
        if self.halted:
            return None
        while self._retries and self._retries[0][0] <= time.monotonic():
            self._requeue(heapq.heappop(self._retries)[1])
        assignment = self._scheduler.next(self._has_time)
        if assignment is not None:
            self._running[assignment[0]] = assignment[1]
        return assignment

    def __bool__(self) -> bool:
        """Return whether tasks are running, or are to start."""
        queued = not self.halted and (len(self._scheduler) or self._retries)
        return bool(self._running or (queued and self._deadline.remaining() > 0))

    @property
    def halted(self) -> bool:
        """Whether no further task starts, by the condition `halt`."""
        return self._halt.is_reached(
            done=self._done, failed=len(self.failed), total=len(self._tasks)
        )

    def drain_expired(self) -> bool:
        """Return, once, whether to terminate the running tasks."""
        halted = self._halt.when == "now" and self.halted
        if self._drain_end < 0 or (self._deadline.remaining() > 0 and not halted):
            return False
        if halted:
            self._drain_end = -1
            return True
        self._drain_end = min(self._drain_end, time.monotonic() + self._drain)
        if time.monotonic() < self._drain_end:
            return False
        self._drain_end = -1
        return True

    def end(self, number: int, record: Record) -> bool:
        """Free the slots of an attempt; return whether the task needs another one."""
        self._scheduler.release(self._running.pop(number), self._tasks[number].cores)
        if record["reason"] == STOPPED:
            return True
        self.tries[number] += 1
        self._seconds.append(record["seconds"])
        limit = self._tasks[number].retries
        if record["reason"] == "lost":
            self.lost.add(number)
            limit = max(limit, CRASH_LIMIT)
        if not record["code"]:
            self._done += 1
            for released in self._dependencies.release(number):
                self._scheduler.enqueue(released, self._tasks[released].cores)
        elif self.tries[number] > limit:
            self._fail(number)
        else:
            delay = min(MAX_RETRY_DELAY, RETRY_DELAY * 2 ** self.tries[number])
            due = time.monotonic() + delay * random.uniform(0.5, 1)
            heapq.heappush(self._retries, (due, number))
            return True
        return False

    def remove_host(self, host: int) -> list[int]:
        """Requeue the tasks of a lost host; return their numbers.

        Raises
        ------
        RankExited
            If it was the last one.
        """
        self._scheduler.remove_host(host)
        if not any(self._scheduler.cores):
            raise RankExited("the node agents of all hosts have failed")
        lost = [number for number, at in self._running.items() if at == host]
        for number in lost:
            del self._running[number]
            self._lost_hosts[number] += 1
            if self._lost_hosts[number] > CRASH_LIMIT:
                self.not_run.append((number, "lost"))
                self._fail(number)
            else:
                self._requeue(number)
        return lost

    def _fail(self, number: int) -> None:
        """Record a failure, and those of the tasks that wait for this one."""
        skipped = list(self._dependencies.skip(number))
        self.failed.update([number, *skipped])
        self.not_run += [(other, DEPENDENCY) for other in skipped]

    def _requeue(self, number: int) -> None:
        """Queue a task before the others."""
        self._scheduler.enqueue(number, self._tasks[number].cores, first=True)

    def _has_time(self, number: int) -> bool:
        """Return whether a task should end in time: by its limit and the median."""
        remaining = self._deadline.remaining()
        if remaining == float("inf"):
            return True
        typical = median(self._seconds) if self._seconds else 0.0
        return remaining > max(self._tasks[number].seconds, typical)


def start_order(
    tasks: Sequence[Task], pending: Sequence[int], cores: Sequence[int]
) -> Iterator[int]:
    """Yield pending tasks as a run starts them if each succeeds and ends at once.

    The arguments, and what is raised, are those of `AttemptQueue`.
    """
    queue = AttemptQueue(tasks, pending, cores, Deadline(environ={}), 0)
    while (assignment := queue.next()) is not None:
        yield assignment[0]
        queue.end(assignment[0], {"code": 0, "reason": "", "seconds": 0.0})
