"""What a run directory tells, while the farm runs and after: from anywhere, no MPI."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from mpiapps.base.session import process
from mpiapps.base.units import format_seconds, format_size
from mpiapps.farming.books import LIST, journals_of
from mpiapps.farming.child import STOPPED
from mpiapps.farming.journal import Record, read, scan
from mpiapps.farming.outputs import Stamp, what_changed
from mpiapps.farming.tasklist import part_of


def summary(folder: Path, now: float | None = None) -> dict[str, Any]:
    """Return how a farm is, by names that JSON can hold. Local.

    The tasks are those of the list as the last start had it. What is done or failed is
    what the last line of a journal says of a task; no clock decides.

    Raises
    ------
    ReadWriteError, InputError
        If there is no journal, or it is damaged.
    """
    names = _listed(folder)
    parts = [_Part(path, names) for path in _journals(folder)]
    done = set().union(*(part.done for part in parts))
    failed = {name: why for part in parts for name, why in part.failed.items()}
    failed = {name: why for name, why in failed.items() if name not in done}
    tasks = sum(part.tasks for part in parts) if names is None else len(names)
    left = max(0, tasks - len(done) - len(failed))
    seconds = [each for part in parts for each in part.seconds]
    last = max((part.last for part in parts), default=0.0)
    at_work = [part for part in parts if part.manager]
    rate = sum(part.rate for part in at_work or parts)
    return {
        "directory": str(folder),
        "manager": at_work[0].manager if at_work else {},
        "starts": sum(part.starts for part in parts),
        "tasks": tasks,
        "done": len(done),
        "failed": len(failed),
        "left": left,
        "attempts": sum(part.attempts for part in parts),
        "why": dict(Counter(failed.values())),
        "rate": rate,
        "needs": left / rate if rate and at_work else None,
        "idle": max(0.0, (now or time.time()) - last) if last else None,
        "median": median(seconds) if seconds else None,
        "longest": max(seconds, default=None),
        "most_memory": max((part.memory for part in parts if part.last), default=None),
    }


class _Part:
    """What one journal says of the tasks of a list; all it says without a list."""

    def __init__(self, journal: Path, names: Collection[str] | None) -> None:
        self._names, self._begun = names, 0.0
        self.starts = self.tasks = self.attempts = self.memory = self._through = 0
        self.done, self.failed = set[str](), dict[str, str]()
        self.seconds, self.last = list[float](), 0.0
        self.manager = _manager(journal.parent)
        scan(journal, self._note)

    @property
    def rate(self) -> float:
        """Tasks per second since the last start."""
        took = self.last - self._begun
        return self._through / took if took > 0 else 0.0

    def _note(self, record: Record) -> None:
        if start := record.get("start"):
            self.starts += 1
            self.tasks, self._begun, self._through = start["tasks"], start["at"], 0
            self.failed = {}  # they are begun again
        elif "task" in record and (
            self._names is None or record["task"] in self._names
        ):
            self._note_attempt(record)

    def _note_attempt(self, record: Record) -> None:
        name = record["task"]
        self.attempts += 1
        self.memory = max(self.memory, record["memory"])
        self.last = record["at"]
        if record["why"] == STOPPED or record.get("again"):
            return
        self._through += 1
        self.done.discard(name)
        if record["code"]:
            self.failed[name] = _why(record)
        else:
            self.failed.pop(name, None)
            self.done.add(name)
            self.seconds.append(record["seconds"])


def as_text(found: dict[str, Any]) -> str:
    """Return a summary as people read it. Local."""
    lines = [
        f"{found['directory']}: {found['done']} of {found['tasks']} tasks done,"
        f" {found['failed']} failed, {found['left']} left"
    ]
    manager = found["manager"]
    if manager:
        job = f", job {manager['job']}" if manager.get("job") else ""
        lines.append(f"managed by process {manager['pid']} on {manager['host']}{job}")
    if found["rate"]:
        needs = found["needs"]
        about = "" if needs is None else f", about {format_seconds(needs)} left"
        lines.append(
            f"{found['rate']:.3g} tasks/s since the last start{about}; the last one"
            f" ended {format_seconds(found['idle'])} ago"
        )
    if found["done"]:
        lines.append(
            f"a task took {format_seconds(found['median'])} (half of them less), at"
            f" most {format_seconds(found['longest'])} and"
            f" {format_size(found['most_memory'])}"
        )
    lines += [f"  {n} failed: {why}" for why, n in found["why"].items()]
    return "\n".join(lines) + "\n"


def verify(folder: Path) -> Iterator[str]:
    """Yield what in a run directory is not as its journals say. Local.

    Raises
    ------
    ReadWriteError, InputError
        If there is no journal, or it is damaged.
    """
    names = _listed(folder)
    made: dict[str, tuple[Stamp, str]] = {}
    for journal in _journals(folder):
        part = journal.parent
        prefix = "" if part == folder else f"{part.name}/"
        wrong = list[str]()

        def note(record: Record, part: Path = part, wrong: list[str] = wrong) -> None:
            if "task" in record:
                wrong += _wrong_log(part, record)
                if names is None or record["task"] in names:
                    # What another task has made since is another one's.
                    for output, stamp in record.get("outputs", {}).items():
                        made[output] = stamp, record["command"]

        if torn := scan(journal, note).torn:
            yield f"{prefix}journal: {torn} bytes at its end were torn off by a kill"
        yield from (prefix + each for each in wrong)
    for output, (stamp, command) in made.items():
        if changed := what_changed(Path(output), stamp):
            yield f"{output}: {changed} ({command})"


def _wrong_log(folder: Path, record: Record) -> Iterator[str]:
    """Yield how the log of an attempt is not as it was; nothing if it had none."""
    name, wanted = f"logs/{record['task']}.{record['attempt']}", record["log"]
    try:
        size = (folder / name).stat().st_size
    except OSError as error:
        # Older versions wrote 0 for a log that could not be made.
        if wanted or (wanted == 0 and record["why"] not in UNLOGGED):
            yield f"{name}: {error.strerror} ({record['command']})"
        return
    if size != (wanted or 0):
        yield f"{name}: {size} bytes, and it had {wanted or 0}"


UNLOGGED = ("not started", "lost")
COLUMNS = ("task", "attempt", "code", "why", "seconds", "cpu", "memory", "host", "at",
           "command")  # fmt: skip


def table(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each attempt of each task. Local.

    Raises
    ------
    ReadWriteError, InputError
        If there is no journal, or it is damaged.
    """
    for journal in _journals(folder):
        for record in read(journal).records:
            if "task" in record:
                yield {name: record[name] for name in COLUMNS}


def _journals(folder: Path) -> list[Path]:
    """Return the journals in a run directory; one that is missing if it has none."""
    return journals_of(folder) or [folder / "journal"]


def _listed(folder: Path) -> Collection[str] | None:
    """Return the tasks that the last start of a farm had, or its part; if it says."""
    whole = folder.parent if folder.name.startswith("part-") else folder
    try:
        names = (whole / LIST).read_text().split()
    except OSError:  # of an older version
        return None
    if whole == folder:
        return set(names)
    parts: list[str] = []

    def note(record: Record) -> None:
        if "start" in record:
            parts[:] = [record["start"].get("part", "")]

    scan(folder / "journal", note)
    return part_of(names, "".join(parts))


def _why(record: Record) -> str:
    if record["why"]:
        return f"ended for {record['why']}"
    code = record["code"]
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _manager(folder: Path) -> dict[str, Any]:
    """Return who manages the directory, as it says; empty if nobody, or it is dead."""
    try:
        found = json.loads((folder / "owner").read_text() or "{}")
        here = found["host"] == os.uname().nodename
        return {} if here and process(found["pid"]) is None else dict(found)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
