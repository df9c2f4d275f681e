"""Progress and verification of a run directory, during and after a run, without MPI."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from mpiapps.base.processes import process
from mpiapps.base.streams import abbreviated
from mpiapps.base.units import format_seconds, format_size
from mpiapps.storage.journal import Record, read, scan
from mpiapps.taskfarm.farm_journal import (
    DIGESTS_FILE,
    JOURNAL_FILE,
    exit_reason,
    journals_of,
)
from mpiapps.taskfarm.output_files import FileDigest, diff
from mpiapps.taskfarm.task_list import part_of
from mpiapps.taskfarm.task_process import STOPPED


def summary(directory: Path, now: float | None = None) -> dict[str, Any]:
    """Return the status of a farm, JSON-serialisable.

    The tasks are those of the list at the last start. The last journal record of a task
    decides whether it is done or failed; timestamps do not.

    Raises
    ------
    FileAccessError, InputError
        If there is no journal, or it is damaged.
    """
    names = _listed_tasks(directory)
    parts = [_Part(path, names) for path in _journals(directory)]
    done = set().union(*(part.done for part in parts))
    failed = {name: cause for part in parts for name, cause in part.failed.items()}
    failed = {name: cause for name, cause in failed.items() if name not in done}
    tasks = sum(part.tasks for part in parts) if names is None else len(names)
    left = max(0, tasks - len(done) - len(failed))
    seconds = [wall for part in parts for wall in part.seconds]
    last = max((part.last for part in parts), default=0.0)
    running = [part for part in parts if part.manager]
    rate = sum(part.rate for part in running or parts)
    return {
        "directory": str(directory),
        "manager": running[0].manager if running else {},
        "starts": sum(part.starts for part in parts),
        "tasks": tasks,
        "done": len(done),
        "failed": len(failed),
        "left": left,
        "attempts": sum(part.attempts for part in parts),
        "why": dict(Counter(failed.values())),
        "rate": rate,
        "needs": left / rate if rate and running else None,
        "idle": max(0.0, (now or time.time()) - last) if last else None,
        "median": median(seconds) if seconds else None,
        "longest": max(seconds, default=None),
        "most_memory": max((part.memory for part in parts if part.last), default=None),
    }


class _Part:
    """The status in one journal: of the tasks `names`, or of all if that is `None`."""

    def __init__(self, journal: Path, names: Collection[str] | None) -> None:
        self._names, self._start = names, 0.0
        self.starts = self.tasks = self.attempts = self.memory = self._completed = 0
        self.done, self.failed = set[str](), dict[str, str]()
        self.seconds, self.last = list[float](), 0.0
        self.manager = _manager(journal.parent)
        scan(journal, self._note)

    @property
    def rate(self) -> float:
        """Tasks per second since the last start."""
        elapsed = self.last - self._start
        return self._completed / elapsed if elapsed > 0 else 0.0

    def _note(self, record: Record) -> None:
        if start := record.get("start"):
            self.starts += 1
            self.tasks, self._start, self._completed = start["tasks"], start["at"], 0
            self.failed = {}  # a start runs them again
        elif "task" in record and (
            self._names is None or record["task"] in self._names
        ):
            self._note_attempt(record)

    def _note_attempt(self, record: Record) -> None:
        name = record["task"]
        self.attempts += 1
        self.memory = max(self.memory, record["memory"])
        self.last = record["at"]
        if exit_reason(record) == STOPPED or record.get("again"):
            return
        self._completed += 1
        self.done.discard(name)
        if record["code"]:
            self.failed[name] = _cause(record)
        else:
            self.failed.pop(name, None)
            self.done.add(name)
            self.seconds.append(record["seconds"])


def as_text(values: dict[str, Any]) -> str:
    """Return a summary as text."""
    lines = [
        f"{values['directory']}: {values['done']} of {values['tasks']} tasks done,"
        f" {values['failed']} failed, {values['left']} left"
    ]
    manager = values["manager"]
    if manager:
        job = f", job {manager['job']}" if manager.get("job") else ""
        lines.append(f"managed by process {manager['pid']} on {manager['host']}{job}")
    if values["rate"]:
        needs = values["needs"]
        eta = "" if needs is None else f", about {format_seconds(needs)} left"
        lines.append(
            f"{values['rate']:.3g} tasks/s since the last start{eta}; the last task"
            f" ended {format_seconds(values['idle'])} ago"
        )
    if values["done"]:
        lines.append(
            f"time per task: median {format_seconds(values['median'])}, maximum"
            f" {format_seconds(values['longest'])}; peak memory"
            f" {format_size(values['most_memory'])}"
        )
    lines += [f"  {n} failed: {cause}" for cause, n in values["why"].items()]
    return "\n".join(lines) + "\n"


def verify(directory: Path) -> Iterator[str]:
    """Yield the differences between a run directory and its journals.

    Raises
    ------
    FileAccessError, InputError
        If there is no journal, or it is damaged.
    """
    names = _listed_tasks(directory)
    outputs: dict[str, tuple[FileDigest, str]] = {}
    for journal in _journals(directory):
        part = journal.parent
        prefix = "" if part == directory else f"{part.name}/"
        errors = list[str]()

        def note(record: Record, part: Path = part, errors: list[str] = errors) -> None:
            if "task" in record:
                errors += _log_errors(part, record)
                if names is None or record["task"] in names:
                    # The last task that wrote a file counts.
                    for output, digest in record.get("outputs", {}).items():
                        outputs[output] = digest, record["command"]

        if torn := scan(journal, note).torn:
            yield f"{prefix}journal: {torn} bytes of an incomplete record at its end"
        yield from (prefix + error for error in errors)
    for output, (digest, command) in outputs.items():
        if change := diff(Path(output), digest):
            yield f"{output}: {change} ({abbreviated(command)})"


def _log_errors(directory: Path, record: Record) -> Iterator[str]:
    """Yield how the log of an attempt differs from its record."""
    name, recorded = f"logs/{record['task']}.{record['attempt']}", record["log"]
    try:
        size = (directory / name).stat().st_size
    except OSError as error:
        # Older versions recorded 0 for a log that could not be created.
        if recorded or (recorded == 0 and exit_reason(record) not in WITHOUT_LOG):
            yield f"{name}: {error.strerror} ({abbreviated(record['command'])})"
        return
    if size != (recorded or 0):
        yield f"{name}: {size} bytes, recorded {recorded or 0}"


WITHOUT_LOG = ("not started", "lost")
COLUMNS = (
    *("task", "attempt", "code", "reason", "seconds", "cpu", "memory", "host", "at"),
    "command",
)


def table(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield a row per attempt of each task.

    Raises
    ------
    FileAccessError, InputError
        If there is no journal, or it is damaged.
    """
    for journal in _journals(directory):
        for record in read(journal).records:
            if "task" in record:
                row = {**record, "reason": exit_reason(record)}
                yield {name: row[name] for name in COLUMNS}


def _journals(directory: Path) -> list[Path]:
    """Return the journals in a run directory; the path of a missing one if none."""
    return journals_of(directory) or [directory / JOURNAL_FILE]


def _listed_tasks(directory: Path) -> Collection[str] | None:
    """Return the tasks of the last start of a farm, or of its part, if recorded."""
    whole = directory.parent if directory.name.startswith("part-") else directory
    try:
        names = (whole / DIGESTS_FILE).read_text().split()
    except OSError:  # written by an older version
        return None
    if whole == directory:
        return set(names)
    parts: list[str] = []

    def note(record: Record) -> None:
        if "start" in record:
            parts[:] = [record["start"].get("part", "")]

    scan(directory / JOURNAL_FILE, note)
    return part_of(names, "".join(parts))


def _cause(record: Record) -> str:
    if reason := exit_reason(record):
        return f"ended for {reason}"
    code = record["code"]
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _manager(directory: Path) -> dict[str, Any]:
    """Return the manager in the lock file; empty if there is none or it has ended."""
    try:
        manager = json.loads((directory / "owner").read_text() or "{}")
        local = manager["host"] == os.uname().nodename
        return {} if local and process(manager["pid"]) is None else dict(manager)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
