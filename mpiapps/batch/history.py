"""The events of a run: submissions, starts, requeues, ends.

The job script and `mpiapps` append to ``events.jsonl``. A submission by hand has
attempt 0; a job script that submits the next job of a chain writes its own attempt.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mpiapps.batch.job_state import JobId

EVENTS = "events.jsonl"


@dataclass(frozen=True)
class Event:
    """One line of ``events.jsonl``."""

    event: str
    job: JobId
    code: int = 0
    attempt: int = 0
    time: int = 0

    @property
    def by_hand(self) -> bool:
        """Whether it is a submission by `mpiapps submit` or `resubmit`."""
        return self.event == "submit" and not self.attempt


@dataclass(frozen=True)
class History:
    """The state of a run or array element since its last submission.

    Attributes
    ----------
    job : JobId
        The current job: the last job of a chain.
    event : Event, optional
        The last event, if there is one.
    restarts : int
        Number of restarts.
    done : bool
        Whether the last end event has code 0, under any submission.
    submitted : int
        Time of the last submission by hand.
    cancelled : bool
        Whether `mpiapps cancel` has ended the run.
    array : JobId, optional
        For an element: the job of the array; `job` differs if a chain follows it.
    """

    job: JobId
    event: Event | None = None
    restarts: int = 0
    done: bool = False
    submitted: int = 0
    cancelled: bool = False
    array: JobId | None = None

    @property
    def alone(self) -> bool:
        """Whether the run has its own job, rather than an element of an array job."""
        return self.array is None or not self.job.same(self.array)


def read(directory: Path) -> list[Event]:
    """Return the events of a run, in order, without malformed lines."""
    try:
        text = (directory / EVENTS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [event for line in text.splitlines() if (event := _event(line))]


def _event(line: str) -> Event | None:
    try:
        fields = json.loads(line)
        # Old scripts wrote 12[3].server for the array of a PBS element, 12[].server.
        number = re.sub(r"\[\d+\]", "[]", str(fields["job"]))
        return Event(
            str(fields["event"]),
            JobId(number, str(fields.get("cluster", ""))),
            *(int(fields.get(name, 0)) for name in ("code", "attempt", "time")),
        )
    except (ValueError, TypeError, KeyError):
        return None


def submission(events: Sequence[Event]) -> Event | None:
    """Return the last submission by hand, or else the first event."""
    by_hand = [event for event in events if event.by_hand]
    return by_hand[-1] if by_hand else next(iter(events), None)


def history(events: Sequence[Event], array: Sequence[Event] | None = None) -> History:
    """Return the history from the events of a run or of an array element.

    Parameters
    ----------
    events : sequence of Event
        Events of the run or element.
    array : sequence of Event, optional
        For an element: events of the array, which include submissions by hand.
    """
    last = submission(events if array is None else array) or submission(events)
    if last is None:
        return History(JobId(""))
    since = _since(events, last)
    own = [e for e in since if not e.by_hand and e.event != "cancel"]
    chain = [event for event in own if event.event in ("start", "submit")]
    attempts = [event for event in events if event.event in ("start", "end")]
    return History(
        chain[-1].job if chain else last.job,
        own[-1] if own else None,
        max(0, sum(event.event == "start" for event in own) - 1),
        bool(attempts) and attempts[-1].event == "end" and attempts[-1].code == 0,
        last.time,
        any(event.event == "cancel" for event in since),
        None if array is None else last.job,
    )


def _since(events: Sequence[Event], last: Event) -> Sequence[Event]:
    """Return the events since a submission, which may follow the job's start."""
    positions = [n for n, event in enumerate(events) if event == last]
    if not positions:  # an element has the submission's job, but not the submission
        same = (n for n, event in enumerate(events) if event.job.same(last.job))
        return events[next(same, len(events)) :]
    started = itertools.takewhile(
        lambda event: not event.by_hand and event.job.same(last.job),
        reversed(events[: positions[-1]]),
    )
    return events[positions[-1] - sum(1 for _ in started) :]
