"""What became of a run: the scheduler's word, against what the run itself wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mpiapps.batch import state
from mpiapps.batch.state import Seen

EVENTS, RECORD = "events.jsonl", "record.json"


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


def events(folder: Path) -> list[dict[str, Any]]:
    """Return what the job script and `submit` wrote of a run, in order. Local.

    A last line that a kill has torn is left out.
    """
    try:
        lines = (folder / EVENTS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def status_of(folder: Path, number: str, seen: Seen | None, recorded: bool) -> Status:
    """Return the status of one run, or of one element of an array. Local."""
    told = events(folder)
    requeues = sum(event["event"] == "requeue" for event in told)
    found, code, reason = _judge(folder, told, seen, recorded)
    return Status(str(folder), number, found, code, requeues, reason)


def _judge(
    folder: Path, told: list[dict[str, Any]], seen: Seen | None, recorded: bool
) -> tuple[str, int | None, str]:
    """Return state, exit code and reason: the scheduler's word, unless disproved."""
    said, reason = (seen.state, seen.reason) if seen else (state.UNKNOWN, "")
    last = _last(told)
    event, code = last["event"], int(last["code"])
    record = _finished(folder) if recorded else None
    found: tuple[str, int | None, str]
    if said in state.ACTIVE:
        found = said, None, reason
    elif record is not None:
        found = (state.FAILED if record else state.DONE), record, ""
    elif event == "cancel":
        found = state.CANCELLED, None, reason
    elif said not in (state.DONE, state.FAILED, state.UNKNOWN):
        found = said, seen.code if seen else None, reason
    elif event in ("end", "requeue") and code == 75:
        found = state.STOPPED, code, "saved; `mpiapps resubmit` goes on"
    elif event == "end":
        found = (state.FAILED if code else state.DONE), code, reason
    elif said == state.DONE and not recorded:
        found = state.DONE, 0, reason
    elif seen and said in (state.DONE, state.FAILED):
        found = state.FAILED, seen.code or 70, reason or "no finished record"
    elif event == "start":
        found = state.LOST, None, "it began, and nobody knows its end"
    else:
        found = state.UNKNOWN, None, "the scheduler does not know it"
    return found


def _last(told: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the last event; a job may begin before its submission is noted."""
    before: dict[str, Any] = {"event": "", "code": 0, "job": ""}
    for event in told:
        if event["event"] != "submit" or event["job"] != before["job"]:
            before = event
    return before


def _finished(folder: Path) -> int | None:
    """Return the exit code in a finished record, or `None`."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return int(record["exit_code"]) if record.get("finished") is True else None


def together(run: str, number: str, elements: dict[str, Status]) -> Status:
    """Return the status of an array: the first that is not done speaks for it."""
    order = [state.RUNNING, state.PENDING, state.FAILED]
    states = [each.state for each in elements.values()]
    worst = next((s for s in order if s in states), None)
    worst = worst or next((s for s in states if s != state.DONE), state.DONE)
    done = states.count(state.DONE)
    codes = [each.code for each in elements.values() if each.state == worst]
    return Status(
        run,
        number,
        worst,
        codes[0],
        sum(each.requeues for each in elements.values()),
        f"{done} of {len(states)} done",
        elements,
    )
