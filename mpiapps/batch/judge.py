"""What became of a run: the scheduler's word, against what the run itself wrote."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mpiapps.batch import state
from mpiapps.batch.history import History
from mpiapps.batch.state import Seen

RECORD = "record.json"
BLOCKED = "not started: what it waits for is not done"
FORGOTTEN = "the scheduler does not know it any more"
APPEARS = 60  # s after a submission in which a scheduler may not know the job yet


@dataclass(frozen=True)
class Status:
    """How a run is, or how it ended; `as_dict` is what ``--json`` prints."""

    run: str
    id: str
    state: str
    code: int | None = None
    requeues: int = 0
    reason: str = ""
    elements: dict[str, Status] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it. Local."""
        own = {k: v for k, v in vars(self).items() if k != "elements"}
        if not self.elements:
            return own
        each = {index: status.as_dict() for index, status in self.elements.items()}
        return own | {"elements": each}


def recorded_end(folder: Path, past: History, recorded: bool) -> Status | None:
    """Return the status of a run whose own files prove its end, or `None`. Local.

    That is a finished record; for a script of one's own, an end with code 0.
    """
    code = finished(folder) if recorded else 0 if past.done else None
    if code is None:
        return None
    found = state.FAILED if code else state.DONE
    return Status(str(folder), past.job.number, found, code, past.restarts)


def status_of(folder: Path, past: History, seen: Seen | None, recorded: bool) -> Status:
    """Return the status of one run, or of one element of an array. Local.

    Parameters
    ----------
    folder : Path
    past : History
        What its events say.
    seen : Seen, optional
        What the scheduler says; `None` if it does not know the job.
    recorded : bool
        Whether the program writes a record of its end.
    """
    proof = recorded_end(folder, past, recorded)
    if proof is not None:
        return proof
    found, code, reason = _judge(past, seen, recorded)
    return Status(str(folder), past.job.number, found, code, past.restarts, reason)


def _judge(
    past: History, seen: Seen | None, recorded: bool
) -> tuple[str, int | None, str]:
    """Return state, exit code and reason: the scheduler's word, unless disproved."""
    said, value, reason = (seen.state, seen.code, seen.reason) if seen else ("", 0, "")
    event, code = (past.event.event, past.event.code) if past.event else ("", 0)
    saved = state.STOPPED, 75, "saved; `mpiapps resubmit` goes on"
    rules: list[tuple[bool, tuple[str, int | None, str]]] = [
        (said in state.ACTIVE, (said, None, reason)),
        (past.cancelled, (state.CANCELLED, None, "")),
        (event == "blocked", (state.CANCELLED, None, BLOCKED)),
        (said in state.KILLED, (said, value, reason)),
        (event == "end" and code == 75, saved),
        (event == "end", (state.FAILED if code else state.DONE, code, reason)),
        (said in state.UNDECIDED, (said, None, reason)),
        (event == "requeue", saved),
        (said == state.DONE and not recorded, (state.DONE, 0, reason)),
        (bool(said), (state.FAILED, value or 70, reason or "no finished record")),
        (event == "start", (state.LOST, None, "it began, and its end is not recorded")),
        (past.submitted + APPEARS < time.time(), (state.LOST, None, FORGOTTEN)),
        (True, (state.UNKNOWN, None, "the scheduler does not know it yet")),
    ]
    return next(found for holds, found in rules if holds)


def finished(folder: Path) -> int | None:
    """Return the exit code in a finished record, or `None`. Local."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return int(record["exit_code"]) if record.get("finished") is True else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def together(whole: Status, elements: dict[str, Status]) -> Status:
    """Return the status of an array: the first that is not done speaks for it."""
    order = [*(state.RUNNING, state.PENDING), *state.UNDECIDED, state.FAILED]
    states = [each.state for each in elements.values()]
    worst = next((s for s in order if s in states), None)
    worst = worst or next((s for s in states if s != state.DONE), state.DONE)
    speaks = next(each for each in elements.values() if each.state == worst)
    done = f"{states.count(state.DONE)} of {len(states)} done"
    return replace(
        whole,
        state=worst,
        code=speaks.code,
        requeues=sum(each.requeues for each in elements.values()),
        reason=f"{done}; {speaks.reason}" if speaks.reason else done,
        elements=elements,
    )
