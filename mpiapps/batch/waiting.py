"""Wait for runs to end, by queries that become rarer."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence

from mpiapps.base.errors import LaunchError
from mpiapps.base.streams import write_err
from mpiapps.batch import job_state
from mpiapps.batch.run_status import APPEARS, Status
from mpiapps.batch.runs import Run
from mpiapps.batch.status import statuses

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 30.0  # s between two queries


def wait_for(selected: Sequence[Run]) -> list[Status]:
    """Wait for runs to end; return how they ended."""
    ended = dict(as_ended(selected))
    return [ended[number] for number in range(len(selected))]


def as_ended(
    selected: Sequence[Run], *, once: bool = False
) -> Iterator[tuple[int, Status]]:
    """Yield the position of each run and how it ended, when it has ended.

    Parameters
    ----------
    selected : sequence of Run
    once : bool
        Whether to query once, and to leave out the runs that have not ended.

    Raises
    ------
    LaunchError
        If a scheduler cannot be queried from this host.
    """
    pause, start, printed = FIRST_PAUSE, time.monotonic(), ""
    active = dict(enumerate(selected))
    while active:
        current = dict(zip(active, statuses(list(active.values())), strict=True))
        appears = time.monotonic() - start < APPEARS
        new = [job_state.UNKNOWN, job_state.LOST] if appears else []
        goes_on = [*job_state.ACTIVE, *new, job_state.NO_ANSWER]
        for number, status in current.items():
            if status.state not in goes_on:
                del active[number]
                yield number, status
        if once or not active:
            return
        reasons = [current[number].reason for number in active]
        states = [current[number].state for number in active]
        unanswered = dict(zip(states, reasons, strict=True)).get(job_state.NO_ANSWER)
        if unanswered is not None:
            if unanswered != printed:
                printed = unanswered
                write_err(f"mpiapps: no answer, trying again: {printed}\n")
            commands = [run.scheduler.query_command for run in active.values()]
            if not any(map(shutil.which, commands)):
                raise LaunchError(f"cannot wait: {printed}")
        time.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 1.5)
