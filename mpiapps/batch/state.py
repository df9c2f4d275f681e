"""The states of a job, in the same words for every scheduler."""

from __future__ import annotations

from dataclasses import dataclass

PENDING = "pending"
RUNNING = "running"
DONE = "done"
FAILED = "failed"
TIMED_OUT = "timed out"
OUT_OF_MEMORY = "out of memory"
PREEMPTED = "preempted"
CANCELLED = "cancelled"
STOPPED = "stopped"  # with 75: saved, and can be resumed
LOST = "lost"  # it began, and nobody knows its end
UNKNOWN = "unknown"

ACTIVE = (PENDING, RUNNING)


@dataclass(frozen=True)
class Seen:
    """What a scheduler tells of one job.

    Attributes
    ----------
    state : str
        One of the states of this module.
    code : int, optional
        The exit code of the job script, if the scheduler knows it.
    reason : str
        The scheduler's own word.
    """

    state: str
    code: int | None = None
    reason: str = ""
