"""The status of one run, from its record, its events and the scheduler."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mpiapps.batch import job_state
from mpiapps.batch.history import History
from mpiapps.batch.job_state import JobStatus

RECORD = "record.json"
USAGE = "usage.txt"  # a line that the job script writes: used of asked
BLOCKED = "not started: a run that it depends on is not done"
FORGOTTEN = "the scheduler no longer knows it"
APPEARS = 60  # s after a submission in which a scheduler may not know the job yet


@dataclass(frozen=True)
class Status:
    """The status of a run; ``--json`` prints `as_dict`."""

    run: str
    id: str
    state: str
    code: int | None = None
    requeues: int = 0
    reason: str = ""
    usage: str = ""
    elements: dict[str, Status] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the status as a JSON object."""
        values = {k: v for k, v in vars(self).items() if k != "elements"}
        if not self.elements:
            return values
        elements = {index: status.as_dict() for index, status in self.elements.items()}
        return values | {"elements": elements}


def recorded_end(directory: Path, past: History, recorded: bool) -> Status | None:
    """Return the status of a run whose files prove its end, or `None`.

    The proof is a finished record, or, for a program without a record, an end event
    with code 0.
    """
    code = finished(directory) if recorded else 0 if past.done else None
    if code is None:
        return None
    state = job_state.FAILED if code else job_state.DONE
    return Status(
        str(directory),
        past.job.number,
        state,
        code,
        past.restarts,
        usage=usage_of(directory) if recorded else "",
    )


def status_of(
    directory: Path, past: History, job: JobStatus | None, recorded: bool
) -> Status:
    """Return the status of one run, or of one element of an array.

    Parameters
    ----------
    directory : Path
    past : History
        History from the events of the run.
    job : JobStatus, optional
        Status in the scheduler; `None` if it does not know the job.
    recorded : bool
        Whether the program writes a record.
    """
    proof = recorded_end(directory, past, recorded)
    if proof is not None:
        return proof
    state, code, reason = _reconcile(past, job, recorded)
    return Status(str(directory), past.job.number, state, code, past.restarts, reason)


def _reconcile(
    past: History, job: JobStatus | None, recorded: bool
) -> tuple[str, int | None, str]:
    """Return state, exit code and reason: the scheduler's, unless the events differ."""
    state, value, reason = (job.state, job.code, job.reason) if job else ("", 0, "")
    event, code = (past.event.event, past.event.code) if past.event else ("", 0)
    saved = job_state.STOPPED, 75, "saved; `mpiapps resubmit` continues it"
    no_end = job_state.LOST, None, "started, but its end is not recorded"
    rules: list[tuple[bool, tuple[str, int | None, str]]] = [
        (state in job_state.ACTIVE, (state, None, reason)),
        (past.cancelled, (job_state.CANCELLED, None, "")),
        (event == "blocked", (job_state.CANCELLED, None, BLOCKED)),
        (state in job_state.KILLED, (state, value, reason)),
        (event == "end" and code == 75, saved),
        (event == "end", (job_state.FAILED if code else job_state.DONE, code, reason)),
        (state in job_state.UNDECIDED, (state, None, reason)),
        (event == "requeue", saved),
        (state == job_state.DONE and not recorded, (job_state.DONE, 0, reason)),
        (bool(state), (job_state.FAILED, value or 70, reason or "no finished record")),
        (event == "start", no_end),
        (past.submitted + APPEARS < time.time(), (job_state.LOST, None, FORGOTTEN)),
        (True, (job_state.UNKNOWN, None, "the scheduler does not know it yet")),
    ]
    return next(result for condition, result in rules if condition)


def finished(directory: Path) -> int | None:
    """Return the exit code in a finished record, or `None`."""
    try:
        record = json.loads((directory / RECORD).read_text(encoding="utf-8"))
        return int(record["exit_code"]) if record.get("finished") is True else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def usage_of(directory: Path) -> str:
    """Return what a finished run has used of what it asked for; empty if unknown."""
    try:
        return (directory / USAGE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError):
        return ""


def aggregate(whole: Status, elements: dict[str, Status]) -> Status:
    """Return the status of an array: that of its first element that is not done."""
    order = [
        *(job_state.RUNNING, job_state.PENDING),
        *job_state.UNDECIDED,
        job_state.FAILED,
    ]
    states = [element.state for element in elements.values()]
    state = next((s for s in order if s in states), None)
    state = state or next((s for s in states if s != job_state.DONE), job_state.DONE)
    first = next(element for element in elements.values() if element.state == state)
    done = f"{states.count(job_state.DONE)} of {len(states)} done"
    return replace(
        whole,
        state=state,
        code=first.code,
        requeues=sum(element.requeues for element in elements.values()),
        reason=f"{done}; {first.reason}" if first.reason else done,
        elements=elements,
    )
