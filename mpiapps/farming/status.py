"""What a run directory tells, while the farm runs and after: from anywhere, no MPI."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from mpiapps.base.units import format_seconds, format_size
from mpiapps.farming.child import STOPPED
from mpiapps.farming.journal import Content, Record, read
from mpiapps.farming.outputs import what_changed

RECENT = 100  # tasks by which the rate is told


def journal_of(folder: Path) -> Content:
    """Return the journal in a run directory. Local.

    Raises
    ------
    ReadWriteError, InputError
        If there is none, or it is damaged.
    """
    return read(folder / "journal")


def summary(folder: Path, now: float | None = None) -> dict[str, Any]:
    """Return how a farm is, by names that JSON can hold. Local.

    Raises
    ------
    ReadWriteError, InputError
        If there is no journal, or it is damaged.
    """
    parts = [journal_of(part).records for part in parts_of(folder)]
    last_starts = [[r["start"] for r in part if "start" in r][-1:] for part in parts]
    starts = [start for some in last_starts for start in some]
    ends = [each for part in parts for each in part if "task" in each]
    ends.sort(key=lambda each: each["at"])
    last = {each["task"]: each for each in ends}
    done = [each for each in last.values() if not each["code"]]
    failed = [e for e in last.values() if e["code"] and e["why"] != STOPPED]
    tasks = sum(start["tasks"] for start in starts) if starts else len(last)
    left = max(0, tasks - len(done) - len(failed))
    rate = _rate(ends)
    return {
        "directory": str(folder),
        "manager": _manager(folder),
        "starts": sum("start" in record for part in parts for record in part),
        "tasks": tasks,
        "done": len(done),
        "failed": len(failed),
        "left": left,
        "attempts": len(ends),
        "why": dict(Counter(_why(each) for each in failed)),
        "rate": rate,
        "needs": left / rate if rate else None,
        "idle": (now or time.time()) - ends[-1]["at"] if ends else None,
        "median": median(each["seconds"] for each in done) if done else None,
        "longest": max((each["seconds"] for each in done), default=None),
        "most_memory": max((each["memory"] for each in ends), default=None),
    }


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
        needs = format_seconds(found["needs"])
        idle = format_seconds(found["idle"])
        lines.append(
            f"{found['rate']:.3g} tasks/s, about {needs} left; the last one ended"
            f" {idle} ago"
        )
    if found["done"]:
        lines.append(
            f"a task took {format_seconds(found['median'])} (half of them less), at"
            f" most {format_seconds(found['longest'])} and"
            f" {format_size(found['most_memory'])}"
        )
    lines += [f"  {n} failed: {why}" for why, n in found["why"].items()]
    return "\n".join(lines) + "\n"


def parts_of(folder: Path) -> list[Path]:
    """Return the directories of an array's elements, or the one. Local."""
    if (folder / "journal").exists():
        return [folder]
    return sorted(folder.glob("part-*")) or [folder]


def verify(folder: Path) -> Iterator[str]:
    """Yield what in a run directory is not as its journals say. Local.

    Raises
    ------
    ReadWriteError, InputError
        If there is no journal, or it is damaged.
    """
    for part in parts_of(folder):
        prefix = "" if part == folder else f"{part.name}/"
        yield from (prefix + wrong for wrong in _verify(part))


def _verify(folder: Path) -> Iterator[str]:
    content = journal_of(folder)
    if content.torn:
        yield f"journal: {content.torn} bytes at its end were torn off by a kill"
    for record in content.records:
        if "task" not in record:
            continue
        name = f"logs/{record['task']}.{record['attempt']}"
        try:
            size = (folder / name).stat().st_size
        except OSError as error:
            yield f"{name}: {error.strerror} ({record['command']})"
            continue
        if size != record["log"]:
            yield f"{name}: {size} bytes, and it had {record['log']}"
    last = {each["task"]: each for each in content.records if "outputs" in each}
    for record in last.values():
        for output, stamp in record["outputs"].items():
            if wrong := what_changed(Path(output), stamp):
                yield f"{output}: {wrong} ({record['command']})"


COLUMNS = ("task", "attempt", "code", "why", "seconds", "cpu", "memory", "host", "at",
           "command")  # fmt: skip


def table(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each attempt of each task. Local.

    Raises
    ------
    ReadWriteError, InputError
        If there is no journal, or it is damaged.
    """
    for part in parts_of(folder):
        for record in journal_of(part).records:
            if "task" in record:
                yield {name: record[name] for name in COLUMNS}


def _rate(ends: list[Record]) -> float:
    """Return the tasks per second of the last ones."""
    some = ends[-RECENT:]
    took = some[-1]["at"] - some[0]["at"] if some else 0.0
    return (len(some) - 1) / took if took > 0 else 0.0


def _why(record: Record) -> str:
    if record["why"]:
        return f"ended for {record['why']}"
    code = record["code"]
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _manager(folder: Path) -> dict[str, Any]:
    """Return who manages the directory, as it says; empty if nobody."""
    try:
        found = json.loads((folder / "owner").read_text() or "{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
