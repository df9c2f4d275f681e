"""Choice between one job, a job array, and an array of farms for a list of tasks."""

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
from mpiapps.storage.journal import Record, scan
from mpiapps.taskfarm.farm_journal import journals_of
from mpiapps.taskfarm.task_list import Task, by_identity

JOB_OVERHEAD = 20.0  # s that a job costs the scheduler and its host, about
MIN_JOB_SECONDS = 30 * JOB_OVERHEAD  # mean task time that justifies a job per task
TIME_MARGIN = 1.25  # requested time over expected time
MAX_PACK_NODES = 4  # hosts that usually become free at the same time


@dataclass(frozen=True)
class Strategy:
    """One way to run a list of tasks.

    Attributes
    ----------
    name : {"pack", "array", "chunks"}
        One farm; a job per task; an array of farms on one host each.
    jobs, nodes, ranks : int
        Jobs, hosts per job, and ranks per host.
    seconds : float
        Wall time to request per job.
    why : str
        The main argument for or against it.
    """

    name: str
    jobs: int
    nodes: int
    ranks: int
    seconds: float
    why: str

    def argv(self, tasks: str, scheduler: str = "") -> list[str]:
        """Return the arguments of ``mpiapps submit`` or ``render``."""
        argv = ["farm", *(["--scheduler", scheduler] if scheduler else [])]
        argv += ["--nodes", str(self.nodes), "--ranks-per-node", str(self.ranks)]
        argv += ["--time", f"{math.ceil(self.seconds / 60)}m"]
        part = []
        if self.name != "pack":
            argv += ["--array", f"1-{self.jobs}"]
            part = ["--part", f"{{index}}/{self.jobs}"]
        return [*argv, "--", tasks, *part]


def costs(tasks: Sequence[Task], task_time: float, directory: Path) -> list[float]:
    """Return the wall time of each task, s.

    From the journals in `directory`; for tasks that are not in them `task_time` or, if
    that is 0, the mean of those that are.

    Raises
    ------
    InputError
        If there is neither.
    """
    measured: dict[str, float] = {}

    def note(record: Record) -> None:
        if record.get("code") == 0:
            measured[record["task"]] = record["seconds"]

    for journal in journals_of(directory):
        scan(journal, note)
    default = task_time or (mean(measured.values()) if measured else 0.0)
    if not default:
        raise InputError(
            "the time per task is unknown; give --task-time, or run some tasks first"
        )
    return [measured.get(name, default) for name in by_identity(tasks)]


def strategies(
    tasks: Sequence[Task],
    seconds: Sequence[float],
    cores: int,
    max_time: float,
    max_array: int,
) -> list[Strategy]:
    """Return the ways to run a list of tasks, the best first.

    Parameters
    ----------
    tasks, seconds : sequences
        The tasks and their wall times.
    cores : int
        Cores per host.
    max_time : float
        Maximum wall time of a job, s.
    max_array : int
        Maximum number of elements of a job array.
    """
    work = sum(s * task.cores for s, task in zip(seconds, tasks, strict=True))
    longest = max(seconds, default=0.0)
    widest = max((task.cores for task in tasks), default=1)
    ranks = min(cores, max(widest, sum(task.cores for task in tasks)))
    room = max_time / TIME_MARGIN - JOB_OVERHEAD - longest  # s of a job besides those
    nodes = max(1, math.ceil(work / (ranks * room))) if room > 0 else len(tasks)

    def requested(hosts: int) -> float:
        """Return the time to request (Graham's bound of list scheduling)."""
        return TIME_MARGIN * (JOB_OVERHEAD + longest + work / (ranks * hosts))

    average = work / max(1, len(tasks))
    ranked: list[tuple[float, Strategy]] = []  # the lowest score is the best
    if 1 < len(tasks) <= max_array:
        share = JOB_OVERHEAD / (JOB_OVERHEAD + average)
        why = f"{share:.0%} of the time is job overhead"
        job_time = TIME_MARGIN * (JOB_OVERHEAD + longest)
        array = Strategy("array", len(tasks), 1, widest, job_time, why)
        ranked.append((0 if average >= MIN_JOB_SECONDS else 3, array))
    few = nodes <= MAX_PACK_NODES
    why = "one job to watch" if few else f"waits for {nodes} hosts at the same time"
    pack = Strategy("pack", 1, nodes, ranks, requested(nodes), why)
    ranked.append((1 if few else 2, pack))
    if 1 < nodes <= max_array:
        why = "each job starts as soon as one host is free"
        chunks = Strategy("chunks", nodes, 1, ranks, requested(nodes), why)
        ranked.append((1.5, chunks))
    return [strategy for _, strategy in sorted(ranked, key=lambda pair: pair[0])]


def as_text(tasks: str, plans: Sequence[Strategy], work: float) -> str:
    """Return the strategies as text, and the command of the best."""
    lines = [f"{format_seconds(work)} of one core in total"]
    for plan in plans:
        size = f"{plan.jobs} x {plan.nodes} x {plan.ranks}"
        time = format_seconds(plan.seconds)
        lines.append(f"  {plan.name:7} {size:>14} ranks for {time}: {plan.why}")
    best = shlex.join(["mpiapps", "submit", *plans[0].argv(tasks)])
    return "\n".join([*lines, best]) + "\n"


def as_json(plans: Sequence[Strategy]) -> list[Mapping[str, Any]]:
    """Return the strategies as JSON-serialisable mappings."""
    return [vars(plan) for plan in plans]
