"""One job, an array, or an array of farms: what suits a list of tasks."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from mpiapps.base.errors import InputError
from mpiapps.base.units import format_seconds
from mpiapps.farming.books import journals_of
from mpiapps.farming.journal import Record, scan
from mpiapps.farming.tasklist import Task, named

START = 20.0  # s that a job costs the scheduler and its host, about
LONG = 30 * START  # s of a task that is worth a job
MARGIN = 1.25  # of the time asked for over the time expected
FEW = 4  # hosts that are soon free at once


@dataclass(frozen=True)
class Way:
    """One way to run a list.

    Attributes
    ----------
    name : {"pack", "array", "chunks"}
        One job; a job for each task; a farm on one host for each of some parts.
    jobs, nodes, ranks : int
        Jobs, hosts of each, and ranks on each host.
    seconds : float
        Wall time of each job, to ask for.
    why : str
        What speaks for it or against it.
    """

    name: str
    jobs: int
    nodes: int
    ranks: int
    seconds: float
    why: str

    def words(self, tasks: str, scheduler: str = "") -> list[str]:
        """Return the arguments of ``mpiapps submit`` or ``render``. Local."""
        found = ["farm", *(["--scheduler", scheduler] if scheduler else [])]
        found += ["--nodes", str(self.nodes), "--ranks-per-node", str(self.ranks)]
        found += ["--time", f"{math.ceil(self.seconds / 60)}m"]
        part = []
        if self.name != "pack":
            found += ["--array", f"1-{self.jobs}"]
            part = ["--part", f"{{index}}/{self.jobs}"]
        return [*found, "--", tasks, *part]


def costs(tasks: Sequence[Task], each: float, folder: Path) -> list[float]:
    """Return the seconds that each task takes, as far as they are known. Local.

    What the journals in `folder` tell of it; else their mean; else `each`.

    Raises
    ------
    InputError
        If nothing tells.
    """
    known: dict[str, float] = {}

    def note(record: Record) -> None:
        if record.get("code") == 0:
            known[record["task"]] = record["seconds"]

    for journal in journals_of(folder):
        scan(journal, note)
    usual = each or (mean(known.values()) if known else 0.0)
    if not usual:
        raise InputError(
            "how long does a task take? Give --each, or let a farm do some of them"
        )
    return [known.get(name, usual) for name in named(tasks)]


def ways(
    tasks: Sequence[Task], seconds: Sequence[float], cores: int, wall: float, most: int
) -> list[Way]:
    """Return the ways to run a list, the best first. Local.

    Parameters
    ----------
    tasks, seconds : sequences
        The tasks and what each takes.
    cores : int
        Of a host.
    wall : float
        The wall time that jobs should have at most, s.
    most : int
        Elements that an array may have.
    """
    work = sum(s * task.cores for s, task in zip(seconds, tasks, strict=True))
    longest = max(seconds, default=0.0)
    widest = max((task.cores for task in tasks), default=1)
    ranks = min(cores, max(widest, sum(task.cores for task in tasks)))
    room = wall / MARGIN - START - longest  # s of a job for all but the longest task
    nodes = max(1, math.ceil(work / (ranks * room))) if room > 0 else len(tasks)

    def asked(hosts: int) -> float:
        """Return the time to ask for on so many hosts (Graham's bound for lists)."""
        return MARGIN * (START + longest + work / (ranks * hosts))

    usual = work / max(1, len(tasks))
    found: list[tuple[float, Way]] = []  # the fewer points, the better
    if 1 < len(tasks) <= most:
        share = START / (START + usual)
        why = f"{share:.0%} of the time goes to starting jobs"
        alone = Way("array", len(tasks), 1, widest, MARGIN * (START + longest), why)
        found.append((0 if usual >= LONG else 3, alone))
    few = nodes <= FEW
    why = "one job to watch" if few else f"waits for {nodes} hosts at once"
    found.append((1 if few else 2, Way("pack", 1, nodes, ranks, asked(nodes), why)))
    if 1 < nodes <= most:
        why = "each begins as soon as a host is free"
        found.append((1.5, Way("chunks", nodes, 1, ranks, asked(nodes), why)))
    return [way for _, way in sorted(found, key=lambda each: each[0])]


def as_text(tasks: str, found: Sequence[Way], work: float) -> str:
    """Return the ways as people read them, and the command of the best. Local."""
    lines = [f"{format_seconds(work)} of one core in all"]
    for way in found:
        size = f"{way.jobs} x {way.nodes} x {way.ranks}"
        asked = format_seconds(way.seconds)
        lines.append(f"  {way.name:7} {size:>14} ranks for {asked}: {way.why}")
    best = shlex.join(["mpiapps", "submit", *found[0].words(tasks)])
    return "\n".join([*lines, best]) + "\n"


def as_json(found: Sequence[Way]) -> list[Mapping[str, Any]]:
    """Return the ways as JSON holds them. Local."""
    return [vars(way) for way in found]
