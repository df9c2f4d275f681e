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
BLOCKED = "not started: what it waits for is not done"
FORGOTTEN = "the scheduler does not know it any more"
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
    elements: dict[str, Status] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the status as a JSON object."""
        own = {k: v for k, v in vars(self).items() if k != "elements"}
        if not self.elements:
            return own
        each = {index: status.as_dict() for index, status in self.elements.items()}
        return own | {"elements": each}


def recorded_end(folder: Path, past: History, recorded: bool) -> Status | None:
    """Return the status of a run whose files prove its end, or `None`.

    The proof is a finished record, or, for a program without a record, an end event
    with code 0.
    """
    code = finished(folder) if recorded else 0 if past.done else None
    if code is None:
        return None
    found = job_state.FAILED if code else job_state.DONE
    return Status(str(folder), past.job.number, found, code, past.restarts)


def status_of(
    folder: Path, past: History, seen: JobStatus | None, recorded: bool
) -> Status:
    """Return the status of one run, or of one element of an array.

    Parameters
    ----------
    folder : Path
    past : History
        History from the events of the run.
    seen : JobStatus, optional
        Answer of the scheduler; `None` if it does not know the job.
    recorded : bool
        Whether the program writes a record.
    """
    proof = recorded_end(folder, past, recorded)
    if proof is not None:
        return proof
    found, code, reason = _reconcile(past, seen, recorded)
    return Status(str(folder), past.job.number, found, code, past.restarts, reason)


def _reconcile(
    past: History, seen: JobStatus | None, recorded: bool
) -> tuple[str, int | None, str]:
    """Return state, exit code and reason: the scheduler's, unless the events differ."""
    said, value, reason = (seen.state, seen.code, seen.reason) if seen else ("", 0, "")
    event, code = (past.event.event, past.event.code) if past.event else ("", 0)
    saved = job_state.STOPPED, 75, "saved; `mpiapps resubmit` goes on"
    rules: list[tuple[bool, tuple[str, int | None, str]]] = [
        (said in job_state.ACTIVE, (said, None, reason)),
        (past.cancelled, (job_state.CANCELLED, None, "")),
        (event == "blocked", (job_state.CANCELLED, None, BLOCKED)),
        (said in job_state.KILLED, (said, value, reason)),
        (event == "end" and code == 75, saved),
        (event == "end", (job_state.FAILED if code else job_state.DONE, code, reason)),
        (said in job_state.UNDECIDED, (said, None, reason)),
        (event == "requeue", saved),
        (said == job_state.DONE and not recorded, (job_state.DONE, 0, reason)),
        (bool(said), (job_state.FAILED, value or 70, reason or "no finished record")),
        (
            event == "start",
            (job_state.LOST, None, "it began, and its end is not recorded"),
        ),
        (past.submitted + APPEARS < time.time(), (job_state.LOST, None, FORGOTTEN)),
        (True, (job_state.UNKNOWN, None, "the scheduler does not know it yet")),
    ]
    return next(found for holds, found in rules if holds)


def finished(folder: Path) -> int | None:
    """Return the exit code in a finished record, or `None`."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return int(record["exit_code"]) if record.get("finished") is True else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def aggregate(whole: Status, elements: dict[str, Status]) -> Status:
    """Return the status of an array: that of its first element that is not done."""
    order = [
        *(job_state.RUNNING, job_state.PENDING),
        *job_state.UNDECIDED,
        job_state.FAILED,
    ]
    states = [each.state for each in elements.values()]
    worst = next((s for s in order if s in states), None)
    worst = worst or next((s for s in states if s != job_state.DONE), job_state.DONE)
    speaks = next(each for each in elements.values() if each.state == worst)
    done = f"{states.count(job_state.DONE)} of {len(states)} done"
    return replace(
        whole,
        state=worst,
        code=speaks.code,
        requeues=sum(each.requeues for each in elements.values()),
        reason=f"{done}; {speaks.reason}" if speaks.reason else done,
        elements=elements,
    )
