"""The manager's side of a farm: what is to be done, what was, and what comes next."""

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

from mpiapps.base import stopping
from mpiapps.base.errors import InputError, RankLeft, naming
from mpiapps.farming.child import STOPPED
from mpiapps.farming.journal import Journal, Record, scan
from mpiapps.farming.owner import Owner
from mpiapps.farming.places import Places
from mpiapps.farming.tasklist import Task, as_line, part_of

HEADER = {"program": "farm"}
LIST = "digests"  # the file with the identities of all tasks of the last start
LOST = 2  # how often a task is begun again whose helper was killed, by itself
PAUSE, LONGEST = 0.1, 60.0  # s before a task is begun again: doubled each time


def journals_of(folder: Path) -> list[Path]:
    """Return the journals in a run directory: its own, and those of parts. Local."""
    found = [folder / "journal", *sorted(folder.glob("part-*/journal"))]
    return [path for path in found if path.exists()]


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
    alone : bool
        Whether it was at work when a helper was killed, perhaps by it: then nothing
        else is at work below the helper that does it again.
    """

    name: str
    attempt: int
    task: Task
    log: str
    alone: bool = False


class Books:
    """What a manager knows. Local; a context that leaves the directory at its end.

    Parameters
    ----------
    tasks : mapping
        All tasks of the list, by their identities.
    folder : Path
        The run directory; made if it is not there.
    part : str
        Which part of the tasks this is, as `part_of` has it.
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

    def __init__(  # noqa: PLR0913 - independent; a class for them would serve this call alone
        self,
        tasks: Mapping[str, Task],
        folder: Path,
        cores: Sequence[int],
        owner: Callable[[Path], Owner],
        *,
        part: str = "",
        drain: float = 10,
    ) -> None:
        self.folder = folder / f"part-{part.partition('/')[0]}" if part else folder
        self._logs = (self.folder / "logs").absolute()
        with naming(self.folder, "make"):
            self._logs.mkdir(parents=True, exist_ok=True)
        self._drain, self._end = drain, float("inf")
        self._owner = owner(self.folder / "owner")
        self._owner.__enter__()
        try:
            self._done: set[str] = set()
            self._attempts: dict[str, int] = {}  # of those that are not done
            self.journal = Journal(self.folder / "journal", HEADER, self._note)
            for other in journals_of(folder):
                if other != self.journal.path:  # of parts that were cut otherwise
                    scan(other, self._note_done)
            self._begin(tasks, folder, cores, part)
        except BaseException:
            self._owner.__exit__(None, None, None)
            raise

    def _begin(
        self, tasks: Mapping[str, Task], folder: Path, cores: Sequence[int], part: str
    ) -> None:
        own = part_of(tasks, part)
        self._number = len(own)
        self.tasks = {  # that are left
            name: task
            for name, task in tasks.items()
            if name in own and name not in self._done
        }
        self._places = Places(cores)
        for name, task in self.tasks.items():
            try:
                self._places.wait(name, task.cores)
            except ValueError as error:
                raise InputError(f"{task.command}: {error}") from error
        self._write(folder / LIST, "".join(f"{name}\n" for name in tasks))
        start = {"at": time.time(), "tasks": self._number, "left": len(self.tasks)}
        self.journal.add({"start": {**start, **({"part": part} if part else {})}})
        self._tries = Counter[str]()
        self._lost: set[str] = set()  # in this run, with their helper
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
        attempt = self._attempts.get(name, 0) + 1
        log = f"{self._logs}/{name}.{attempt}"
        return Given(name, attempt, self.tasks[name], log, name in self._lost), host

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
        name, task = record["task"], self.tasks[record["task"]]
        record["at"] = time.time()  # by one clock, whichever host it was done on
        self._places.release(self._work.pop(name), task.cores)
        stopped = record["why"] == STOPPED
        self._tries[name] += not stopped
        tries = max(task.retries, LOST if record["why"] == "lost" else 0)
        again = bool(record["code"]) and not stopped and self._tries[name] <= tries
        if again:
            record["again"] = True  # it has not failed yet
        self.journal.add(record)
        self.journal.due()
        self._note(record)
        if stopped:
            return False
        self._seconds.append(record["seconds"])
        if record["why"] == "lost":
            self._lost.add(name)
        if again:
            pause = min(LONGEST, PAUSE * 2 ** self._tries[name])
            due = time.monotonic() + pause * random.uniform(0.5, 1)
            heapq.heappush(self._later, (due, name))
        elif record["code"]:
            self._failed.add(name)
        return not again

    def lose(self, host: int) -> list[str]:
        """Let the tasks of a lost host wait again; return them."""
        self._places.lose(host)
        lost = [name for name, where in self._work.items() if where == host]
        if not any(self._places.cores):
            raise RankLeft("all hosts that keep tasks were lost")
        for name in lost:
            del self._work[name]
            self._attempts[name] = self._attempts.get(name, 0) + 1  # its log has it
            self._again(name)
        return lost

    def _again(self, name: str) -> None:
        """Let a task wait before the others; not if no host is left that it fits."""
        if self.tasks[name].cores <= max(self._places.cores):
            self._places.wait(name, self.tasks[name].cores, first=True)

    def report(self) -> tuple[dict[str, Any], int]:
        """Return the values of the record, and the exit code; write failed.txt."""
        lines = [as_line(self.tasks[n]) for n in self.tasks if n in self._failed]
        self._write(self.folder / "failed.txt", "".join(f"{line}\n" for line in lines))
        failed, over = len(self._failed), self._done & self.tasks.keys()
        left = len(self.tasks) - len(over) - failed
        values = {
            "tasks": self._number,
            "done": self._number - failed - left,
            "failed": failed,
            "remaining": left,
            "now": sum(number > 0 for number in self._tries.values()),
            "directory": str(self.folder),
        }
        return values, 3 if failed else 0

    def _write(self, path: Path, text: str) -> None:
        """Write a file, whole or not at all, by way of the directory that is owned."""
        part = self.folder / f".{path.name}.part"
        with naming(path, "write"):
            part.write_bytes(os.fsencode(text))
            part.replace(path)

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

    def _note(self, record: Record) -> None:
        """Keep what a line of the journal says of a task; the last one counts."""
        name = record.get("task")
        if name is None:
            return
        self._attempts[name] = record["attempt"]
        if record["code"] == 0:
            self._done.add(name)
            del self._attempts[name]
        elif record["why"] != STOPPED:  # then it has not failed: there was no time
            self._done.discard(name)

    def _note_done(self, record: Record) -> None:
        """Keep what a line of another journal says, if a task is done."""
        if record.get("code") == 0:
            self._done.add(record["task"])
