"""The manager's state: pending, running, done and failed tasks, and what runs next."""

from __future__ import annotations

import heapq
import os
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import InputError, RankExited, os_errors
from mpiapps.storage.directory_lock import DirectoryLock
from mpiapps.storage.journal import Journal, Record, scan
from mpiapps.taskfarm.slot_scheduler import SlotScheduler
from mpiapps.taskfarm.task_list import Task, as_line, part_of
from mpiapps.taskfarm.task_process import STOPPED

HEADER = {"program": "farm"}
DIGESTS_FILE = "digests"  # identities of all tasks at the last start
CRASH_LIMIT = 2  # retries, alone, of a task whose helper was killed
RETRY_DELAY, MAX_RETRY_DELAY = 0.1, 60.0  # s before a retry; doubles each time


def journals_of(folder: Path) -> list[Path]:
    """Return the journals in a run directory: its own, and those of its parts."""
    paths = [folder / "journal", *sorted(folder.glob("part-*/journal"))]
    return [path for path in paths if path.exists()]


def exit_reason(record: Record) -> str:
    """Return why a task was terminated; older journals call it ``why``."""
    return str(record["reason"] if "reason" in record else record["why"])


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


class FarmState:
    """State of a farm; a context manager that unlocks the run directory.

    Parameters
    ----------
    tasks : mapping
        All tasks of the list, by identity.
    folder : Path
        The run directory; created if it does not exist.
    cores : sequence of int
        Cores of each host.
    lock : callable
        Returns the lock of a path; entered here.
    deadline : Deadline
        When the run stops.
    part : str
        The part of the tasks to run, as for `part_of`.
    drain : float
        Seconds that running tasks get to end when the run stops.

    Raises
    ------
    FileAccessError
        If the directory cannot be created or written.
    InputError
        If the journal is damaged or of another program, or a task fits on no host.
    LaunchError
        If another manager holds the lock.
    """

    def __init__(  # noqa: PLR0913 - independent; a class for them would serve this call alone
        self,
        tasks: Mapping[str, Task],
        folder: Path,
        cores: Sequence[int],
        lock: Callable[[Path], DirectoryLock],
        deadline: Deadline,
        *,
        part: str = "",
        drain: float = 10,
    ) -> None:
        self.folder = folder / f"part-{part.partition('/')[0]}" if part else folder
        self._logs = (self.folder / "logs").absolute()
        with os_errors(self.folder, "make"):
            self._logs.mkdir(parents=True, exist_ok=True)
        self._deadline, self._drain, self._drain_end = deadline, drain, float("inf")
        self._lock = lock(self.folder / "owner")
        self._lock.__enter__()
        try:
            self._done: set[str] = set()
            self._attempts: dict[str, int] = {}  # of tasks that are not done
            self.journal = Journal(self.folder / "journal", HEADER, self._replay)
            for other in journals_of(folder):
                if other != self.journal.path:  # of another partition of the list
                    scan(other, self._replay_done)
            self._begin(tasks, folder, cores, part)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise

    def _begin(
        self, tasks: Mapping[str, Task], folder: Path, cores: Sequence[int], part: str
    ) -> None:
        own = part_of(tasks, part)
        self._count = len(own)
        self.tasks = {  # not done before this run
            name: task
            for name, task in tasks.items()
            if name in own and name not in self._done
        }
        self._scheduler = SlotScheduler(cores)
        for name, task in self.tasks.items():
            try:
                self._scheduler.enqueue(name, task.cores)
            except ValueError as error:
                raise InputError(f"{task.command}: {error}") from error
        self._write(folder / DIGESTS_FILE, "".join(f"{name}\n" for name in tasks))
        start = {"at": time.time(), "tasks": self._count, "left": len(self.tasks)}
        self.journal.add({"start": {**start, **({"part": part} if part else {})}})
        self._tries = Counter[str]()
        self._lost: set[str] = set()  # in this run, with their helper
        self._failed: set[str] = set()  # in this run, without a retry left
        self._running: dict[str, int] = {}  # name -> host
        self._retries: list[tuple[float, str]] = []  # heap of times and names
        self._seconds = deque[float](maxlen=101)  # wall times of the last tasks

    def next(self) -> tuple[TaskAttempt, int] | None:
        """Return a task that can start now, and its host; else `None`."""
        while self._retries and self._retries[0][0] <= time.monotonic():
            self._requeue(heapq.heappop(self._retries)[1])
        assignment = self._scheduler.next(self._has_time)
        if assignment is None:
            return None
        name, host = assignment
        self._running[name] = host
        number = self._attempts.get(name, 0) + 1
        log = f"{self._logs}/{name}.{number}"
        alone = name in self._lost
        return TaskAttempt(name, number, self.tasks[name], log, alone), host

    def has_pending(self) -> bool:
        """Return whether tasks are running, or are to start."""
        queued = len(self._scheduler) or self._retries
        return bool(self._running or (queued and self._deadline.remaining() > 0))

    def drain_expired(self) -> bool:
        """Return, once, whether to terminate the running tasks."""
        if self._deadline.remaining() > 0 or self._drain_end < 0:
            return False
        self._drain_end = min(self._drain_end, time.monotonic() + self._drain)
        if time.monotonic() < self._drain_end:
            return False
        self._drain_end = -1
        return True

    def record_result(self, record: dict[str, Any]) -> bool:
        """Record the result of an attempt; return whether the task needs no other."""
        name, task = record["task"], self.tasks[record["task"]]
        record["at"] = time.time()  # of the manager's clock, not that of the host
        self._scheduler.release(self._running.pop(name), task.cores)
        stopped, lost = record["reason"] == STOPPED, record["reason"] == "lost"
        self._tries[name] += not stopped
        limit = max(task.retries, CRASH_LIMIT if lost else 0)
        retry = bool(record["code"]) and not stopped and self._tries[name] <= limit
        if retry:
            record["again"] = True  # the task has not failed yet
        self.journal.add(record)
        self.journal.sync_if_due()
        self._replay(record)
        if stopped:
            return False
        self._seconds.append(record["seconds"])
        if lost:
            self._lost.add(name)
        if retry:
            delay = min(MAX_RETRY_DELAY, RETRY_DELAY * 2 ** self._tries[name])
            due = time.monotonic() + delay * random.uniform(0.5, 1)
            heapq.heappush(self._retries, (due, name))
        elif record["code"]:
            self._failed.add(name)
        return not retry

    def mark_lost(self, host: int) -> list[str]:
        """Requeue the tasks of a lost host; return their names."""
        self._scheduler.remove_host(host)
        lost = [name for name, at in self._running.items() if at == host]
        if not any(self._scheduler.cores):
            raise RankExited("the node agents of all hosts have failed")
        for name in lost:
            del self._running[name]
            self._attempts[name] = self._attempts.get(name, 0) + 1  # keep its log
            self._requeue(name)
        return lost

    def _requeue(self, name: str) -> None:
        """Queue a task before the others, unless it fits on no remaining host."""
        if self.tasks[name].cores <= max(self._scheduler.cores):
            self._scheduler.enqueue(name, self.tasks[name].cores, first=True)

    def report(self) -> tuple[dict[str, Any], int]:
        """Return the values of the record and the exit code; write failed.txt."""
        lines = [as_line(self.tasks[n]) for n in self.tasks if n in self._failed]
        self._write(self.folder / "failed.txt", "".join(f"{line}\n" for line in lines))
        failed = len(self._failed)
        remaining = len(self.tasks) - len(self._done & self.tasks.keys()) - failed
        values = {
            "tasks": self._count,
            "done": self._count - failed - remaining,
            "failed": failed,
            "remaining": remaining,
            "now": sum(tries > 0 for tries in self._tries.values()),
            "directory": str(self.folder),
        }
        return values, 3 if failed else 0

    def _write(self, path: Path, text: str) -> None:
        """Replace a file atomically; the temporary file is in the locked directory."""
        part = self.folder / f".{path.name}.part"
        with os_errors(path, "write"):
            part.write_bytes(os.fsencode(text))
            part.replace(path)

    def __enter__(self) -> FarmState:
        """Return itself."""
        return self

    def __exit__(self, *exc: Any) -> None:
        """Close the journal and unlock the directory."""
        try:
            self.journal.__exit__(*exc)
        finally:
            self._lock.__exit__(None, None, None)

    def _has_time(self, name: str) -> bool:
        """Return whether a task should end in time: by its limit and the median."""
        remaining = self._deadline.remaining()
        if remaining == float("inf"):
            return True
        typical = median(self._seconds) if self._seconds else 0.0
        return remaining > max(self.tasks[name].seconds, typical)

    def _replay(self, record: Record) -> None:
        """Apply a journal record; the last one of a task counts."""
        name = record.get("task")
        if name is None:
            return
        self._attempts[name] = record["attempt"]
        if record["code"] == 0:
            self._done.add(name)
            del self._attempts[name]
        elif exit_reason(record) != STOPPED:  # a stopped task has not failed
            self._done.discard(name)

    def _replay_done(self, record: Record) -> None:
        """Apply a record of another journal, if its task is done."""
        if record.get("code") == 0:
            self._done.add(record["task"])
