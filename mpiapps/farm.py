"""A farm: many command lines, shared over ranks, each done once whatever is killed.

The root gives out tasks and writes the journal; the other ranks do them, each in a
child process of its own. docs/farm.md tells what is promised, and what is on the disk.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, checkpoint, main, option
from mpiapps.app.progress import Progress
from mpiapps.base import stopping
from mpiapps.base.errors import InputError, Stopped
from mpiapps.farming.journal import Journal
from mpiapps.farming.nursery import Nursery
from mpiapps.farming.owner import Owner
from mpiapps.farming.tasklist import Task, grid, identities, read_list

if TYPE_CHECKING:
    from mpiapps.comm.tasks import Tasks
    from mpiapps.comm.world import World

HEADER = {"program": "farm"}


@dataclass(frozen=True)
class Options:
    """Which tasks, and where what is known of them is kept."""

    tasks: str = option(
        "",
        "a file with a command on each line, or - for standard input; with --param, the"
        " command itself",
        positional=True,
        metavar="TASKS",
    )
    param: tuple[str, ...] = option(
        (), "NAME=1:10, NAME=a,b or NAME=@FILE: a task for each", metavar="NAME=VALUES"
    )
    directory: str = option(
        "", "journal and logs (default: TASKS.farm, or farm)", metavar="FOLDER"
    )
    time: int = option(0, "of a task, unless it says otherwise", parse="time", least=0)
    memory: int = option(0, "of a task, unless it says otherwise", parse="size")
    retries: int = option(0, "of a task, unless it says otherwise", least=0)
    take_over: bool = option(
        False, "take the directory from a manager on another host that has ended"
    )


@dataclass(frozen=True)
class Given:
    """One task on its way to a rank: what `do` needs."""

    identity: str
    attempt: int
    task: Task
    log: str


def check(options: Options) -> None:
    """Raise `ValueError` if the options do not go together. Local."""
    if not options.tasks:
        raise ValueError("name a file of tasks, or a command with --param")


def run(world: World, options: Options) -> Result:
    """Do the tasks that are not done. Collective."""
    from mpiapps.comm.tasks import Tasks

    farm = None
    with world.agree():
        if world.is_root:
            farm = _Farm(options)
    try:
        meanwhile = farm.journal.due if farm is not None else None
        if world.size == 1:
            ALONE.append(meanwhile)
        with world.timed("tasks"), Tasks(world.comm, meanwhile) as shared:
            if shared is not None and farm is not None:
                _share(world, farm, shared)
        NURSERY.close()
        values, code = None, 0
        with world.agree():
            if farm is not None:
                farm.journal.sync()
                values, code = farm.report()
    finally:
        if farm is not None:
            farm.close()
    values, code = world.comm.bcast((values, code))
    if values["remaining"]:
        with world.agree():
            if world.is_root and checkpoint.wanted():  # for the job script
                share = 1 - values["remaining"] / values["tasks"]
                saved = checkpoint.Saved({}, [], share)
                checkpoint.write("farm", options, saved, stop=True)
        raise Stopped(
            f"stopped with {values['done']} tasks done, {values['failed']} failed and"
            f" {values['remaining']} left; the same command goes on from there"
        )
    return Result(values, [], [], code)


def _share(world: World, farm: _Farm, shared: Tasks) -> None:
    """Give out tasks and take in what became of them, as long as it can be. Root."""
    ahead = max(1, world.size - 1)  # one each: so many a kill repeats
    with Progress(world, max(1, len(farm.left)), "the tasks") as progress:
        while farm.wants():  # again, if tasks are to be done again
            for record in shared.imap_unordered(do, farm.give(), ahead=ahead):
                progress.add(farm.take(record))


def do(given: Given) -> dict[str, Any]:
    """Do one task; return the line about it. Local, on any rank."""
    task = given.task
    if stopping.left() <= task.seconds:
        return {"task": given.identity, "begun": False}
    environ = {**os.environ, **task.environ, "MPIAPPS_TASK": given.identity}
    order = {
        "command": task.command,
        "log": given.log,
        "environ": {k: v for k, v in environ.items() if not _of_mpi(k)},
        "folder": task.folder,
        "seconds": task.seconds,
        "memory": task.memory,
    }
    ended = NURSERY.do(order, ALONE[-1] if ALONE else None)
    return {
        "task": given.identity,
        "attempt": given.attempt,
        "command": task.command,
        "host": os.uname().nodename,
        "at": time.time(),
        "log": _size(Path(given.log)),
        **asdict(ended),
    }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # there was no room for it
        return 0


NURSERY = Nursery()  # of this rank
ALONE: list[Any] = []  # what a rank that is alone must do while a task is at work


def _of_mpi(name: str) -> bool:
    """Return whether a variable would make a task that uses MPI part of this run."""
    return name.startswith(("OMPI_", "PMIX_", "PMI_", "PRTE_", "HYDRA_", "MPI_LOCAL"))


class _Farm:
    """The root's side: what is to be done, and what was. Local."""

    def __init__(self, options: Options) -> None:
        """Read tasks and journal; become the manager of the directory."""
        tasks = list(_tasks(options))
        self.tasks = dict(zip(identities(tasks), tasks, strict=True))
        self._folder = _folder(options)
        try:
            (self._folder / "logs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make {self._folder}: {error.strerror}") from error
        self._owner = Owner(self._folder / "owner", take_over=options.take_over)
        self._owner.__enter__()
        try:
            self.journal = Journal(self._folder / "journal", HEADER)
        except BaseException:
            self._owner.__exit__(None, None, None)
            raise
        self.codes: dict[str, int] = {}
        self.attempts: Counter[str] = Counter()
        for record in self.journal.records:
            if "task" in record:
                self._note(record)
        self.left = [each for each in self.tasks if self.codes.get(each) != 0]
        start = {"at": time.time(), "tasks": len(self.tasks), "left": len(self.left)}
        self.journal.add({"start": start})
        self._waiting, self._again = deque(self.left), deque[str]()
        self._tries = Counter[str]()
        self._seconds = deque[float](maxlen=101)  # of the last ones

    def give(self) -> Iterator[Given]:
        """Yield tasks as long as there are any and there is time for them."""
        while self.wants():
            identity = (self._again or self._waiting).popleft()
            if stopping.left() > max(self.tasks[identity].seconds, self._usual()):
                yield self._given(identity)

    def wants(self) -> bool:
        """Return whether there are tasks to give, and time."""
        return bool(self._waiting or self._again) and stopping.left() > 0

    def take(self, record: dict[str, Any]) -> int:
        """Write what became of a task; return 1 if it is through with it."""
        identity = record["task"]
        if not record.get("begun", True):
            return 0
        self.journal.add(record)
        self.journal.due()
        self._note(record)
        self._tries[identity] += 1
        self._seconds.append(record["seconds"])
        again = record["code"] and self._tries[identity] <= self.tasks[identity].retries
        if again:
            self._again.append(identity)
        return int(not again)

    def report(self) -> tuple[dict[str, Any], int]:
        """Return the values of the record, and the exit code."""
        codes = [self.codes.get(each) for each in self.tasks]
        lost = [each for each in self.tasks if self._tries[each] and self.codes[each]]
        failed = sum(each not in self._again for each in lost)
        again = "".join(f"{self.tasks[each].command}\n" for each in lost)
        (self._folder / "failed.txt").write_bytes(os.fsencode(again))
        values = {
            "tasks": len(codes),
            "done": codes.count(0),
            "failed": failed,
            "remaining": len(codes) - codes.count(0) - failed,
            "now": len(self._tries),
            "directory": str(self._folder),
        }
        return values, 3 if failed else 0

    def close(self) -> None:
        """Leave the directory."""
        try:
            self.journal.close()
        finally:
            self._owner.__exit__(None, None, None)

    def _usual(self) -> float:
        """Return what half of the tasks took less than, s."""
        return median(self._seconds) if self._seconds else 0.0

    def _given(self, identity: str) -> Given:
        attempt = self.attempts[identity] + 1
        log = self._folder / "logs" / f"{identity}.{attempt}"
        return Given(identity, attempt, self.tasks[identity], str(log))

    def _note(self, record: Any) -> None:
        self.codes[record["task"]] = record["code"]
        self.attempts[record["task"]] = record["attempt"]


def _tasks(options: Options) -> Iterator[Task]:
    """Yield the tasks, with the limits that hold for all. Root only."""
    common = Task(
        "", seconds=options.time, memory=options.memory, retries=options.retries
    )
    if options.param:
        yield from grid(options.tasks, options.param, common)
    elif options.tasks == "-":
        yield from read_list(sys.stdin, "standard input", common)
    else:
        try:
            with Path(options.tasks).open(errors="surrogateescape") as lines:
                yield from read_list(lines, options.tasks, common)
        except OSError as error:
            raise InputError(
                f"cannot read {options.tasks}: {error.strerror}"
            ) from error


def _folder(options: Options) -> Path:
    plain = options.param or options.tasks == "-"
    return Path(options.directory or ("farm" if plain else f"{options.tasks}.farm"))


PROGRAM = Program("farm", "Do many command lines, each once.", Options, run, check)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
