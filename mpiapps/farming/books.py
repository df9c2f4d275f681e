"""The manager's side of a farm: what is to be done, what was, and what comes next."""

from __future__ import annotations

import heapq
import os
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from mpiapps.base import stopping
from mpiapps.base.errors import InputError, RankLeft, naming
from mpiapps.farming.child import STOPPED
from mpiapps.farming.journal import Journal
from mpiapps.farming.owner import Owner
from mpiapps.farming.places import Places
from mpiapps.farming.tasklist import Task, as_line, identities

HEADER = {"program": "farm"}
LOST = 2  # how often a task is begun again whose helper was killed, by itself
PAUSE, LONGEST = 0.1, 60.0  # s before a task is begun again: doubled each time


@dataclass(frozen=True)
class Given:
    """One task on its way to a host.

    Attributes
    ----------
    name : str
        Its identity.
    attempt : int
        Which one this is, over all runs.
    task : Task
    log : str
        The file for what it prints.
    """

    name: str
    attempt: int
    task: Task
    log: str


class Books:
    """What a manager knows. Local; a context that leaves the directory at its end.

    Parameters
    ----------
    tasks : sequence of Task
    folder : Path
        The run directory; made if it is not there.
    cores : sequence of int
        Of each host.
    owner : Owner
        Of the directory; entered here.
    drain : float
        Seconds that tasks at work get when the run is to stop.

    Raises
    ------
    ReadWriteError
        If the directory cannot be made, or written to.
    InputError
        If its journal is damaged or of something else, or a task fits no host.
    LaunchError
        If the directory has a manager.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        folder: Path,
        cores: Sequence[int],
        owner: Owner,
        *,
        drain: float = 10,
    ) -> None:
        self.tasks = dict(zip(identities(tasks), tasks, strict=True))
        self.folder, self._logs = folder, (folder / "logs").absolute()
        with naming(folder, "make"):
            self._logs.mkdir(parents=True, exist_ok=True)
        self._drain, self._end = drain, float("inf")
        self._owner = owner
        self._owner.__enter__()
        try:
            self.journal = Journal(folder / "journal", HEADER)
            self._begin(cores)
        except BaseException:
            self._owner.__exit__(None, None, None)
            raise

    def _begin(self, cores: Sequence[int]) -> None:
        self.codes: dict[str, int] = {}
        self._attempts: Counter[str] = Counter()
        for record in self.journal.records:
            if "task" in record:
                self._note(record)
        self.left = [each for each in self.tasks if self.codes.get(each) != 0]
        self._places = Places(cores)
        for name in self.left:
            try:
                self._places.wait(name, self.tasks[name].cores)
            except ValueError as error:
                raise InputError(f"{self.tasks[name].command}: {error}") from error
        start = {"at": time.time(), "tasks": len(self.tasks), "left": len(self.left)}
        self.journal.add({"start": start})
        self._tries = Counter[str]()
        self._failed: set[str] = set()  # in this run, and not to be begun again
        self._work: dict[str, int] = {}  # name -> host
        self._later: list[tuple[float, str]] = []
        self._seconds = deque[float](maxlen=101)  # of the last ones

    def next(self) -> tuple[Given, int] | None:
        """Return a task that can begin now, and its host; else `None`."""
        while self._later and self._later[0][0] <= time.monotonic():
            self._again(heapq.heappop(self._later)[1])
        found = self._places.next(self._has_time)
        if found is None:
            return None
        name, host = found
        self._work[name] = host
        attempt = self._attempts[name] + 1
        log = f"{self._logs}/{name}.{attempt}"
        return Given(name, attempt, self.tasks[name], log), host

    def goes_on(self) -> bool:
        """Return whether tasks are at work, or are to begin."""
        more = len(self._places) or self._later
        return bool(self._work or (more and stopping.left() > 0))

    def ends_work(self) -> bool:
        """Return, once, whether tasks at work are to be ended."""
        if stopping.left() > 0 or self._end < 0:
            return False
        self._end = min(self._end, time.monotonic() + self._drain)
        if time.monotonic() < self._end:
            return False
        self._end = -1
        return True

    def take(self, record: dict[str, Any]) -> bool:
        """Write what became of a task; return whether it is through with it."""
        name = record["task"]
        task = self.tasks[name]
        self._places.release(self._work.pop(name), task.cores)
        self.journal.add(record)
        self.journal.due()
        self._note(record)
        if record["why"] == STOPPED:
            return False
        self._tries[name] += 1
        self._seconds.append(record["seconds"])
        tries = max(task.retries, LOST if record["why"] == "lost" else 0)
        again = bool(record["code"]) and self._tries[name] <= tries
        if record["code"] and not again:
            self._failed.add(name)
        if again:
            pause = min(LONGEST, PAUSE * 2 ** self._tries[name])
            due = time.monotonic() + pause * random.uniform(0.5, 1)
            heapq.heappush(self._later, (due, name))
        return not again

    def lose(self, host: int) -> list[str]:
        """Let the tasks of a lost host wait again; return them."""
        self._places.lose(host)
        lost = [name for name, where in self._work.items() if where == host]
        if not any(self._places.cores):
            raise RankLeft("all hosts that keep tasks were lost")
        for name in lost:
            del self._work[name]
            self._attempts[name] += 1  # its log has that number
            self._again(name)
        return lost

    def _again(self, name: str) -> None:
        """Let a task wait before the others; not if no host is left that it fits."""
        if self.tasks[name].cores <= max(self._places.cores):
            self._places.wait(name, self.tasks[name].cores, first=True)

    def report(self) -> tuple[dict[str, Any], int]:
        """Return the values of the record, and the exit code; write failed.txt."""
        codes = [self.codes.get(each) for each in self.tasks]
        failed = len(self._failed)
        lines = [as_line(self.tasks[n]) for n in self.tasks if n in self._failed]
        self._write("failed.txt", "".join(f"{line}\n" for line in lines))
        values = {
            "tasks": len(codes),
            "done": codes.count(0),
            "failed": failed,
            "remaining": len(codes) - codes.count(0) - failed,
            "now": len(self._tries),
            "directory": str(self.folder),
        }
        return values, 3 if failed else 0

    def _write(self, name: str, text: str) -> None:
        """Write a file of the directory, whole or not at all."""
        part = self.folder / f".{name}.part"
        with naming(self.folder / name, "write"):
            part.write_bytes(os.fsencode(text))
            part.replace(self.folder / name)

    def __enter__(self) -> Books:
        """Return itself."""
        return self

    def __exit__(self, *exc: Any) -> None:
        """Close the journal, and leave the directory."""
        try:
            self.journal.__exit__(*exc)
        finally:
            self._owner.__exit__(None, None, None)

    def _has_time(self, name: str) -> bool:
        """Return whether a task would end in time: by its limit, or as others do."""
        left = stopping.left()
        if left == float("inf"):
            return True
        usual = median(self._seconds) if self._seconds else 0.0
        return left > max(self.tasks[name].seconds, usual)

    def _note(self, record: Any) -> None:
        if record["why"] != STOPPED:  # it has not failed: there was no time for it
            self.codes[record["task"]] = record["code"]
        self._attempts[record["task"]] = record["attempt"]
