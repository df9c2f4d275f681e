"""The states of a job, in the same words for every scheduler."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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
LOST = "lost"  # no longer in the scheduler, and its end is not recorded
UNKNOWN = "unknown"  # the scheduler does not know it, or gives no known state
NO_ANSWER = "no answer"  # the scheduler cannot be asked

ACTIVE = (PENDING, RUNNING)
KILLED = (TIMED_OUT, OUT_OF_MEMORY, PREEMPTED, CANCELLED)  # by the scheduler
UNDECIDED = (NO_ANSWER, UNKNOWN)  # it may be active


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


Answers = Mapping[str, Seen]  # by job number; elements of arrays by `element`


@dataclass(frozen=True)
class JobId:
    """A job's identity: two clusters may give the same number.

    An empty cluster is the one that this host's commands ask: PBS's numbers name their
    server, and old records have no cluster.
    """

    number: str
    cluster: str = ""

    def same(self, other: JobId) -> bool:
        """Return whether it is the same job, as far as both clusters are known."""
        known = self.cluster and other.cluster
        return self.number == other.number and (
            not known or self.cluster == other.cluster
        )


@dataclass(frozen=True)
class Submission:
    """What is submitted: a script with what its directives do not say.

    Attributes
    ----------
    script : str
        Its path.
    variables : sequence of str
        ``NAME=VALUE``, to hand over.
    folder : str
        Where the scheduler writes its output.
    is_array : bool
    waits : sequence of str
        The numbers of jobs that must have ended before.
    """

    script: str
    variables: Sequence[str]
    folder: str
    is_array: bool = False
    waits: Sequence[str] = ()


def element(number: str, index: str) -> str:
    """Return the key of an array's element. Local."""
    return f"{number}_{index}"


def indices(text: str) -> Iterator[str]:
    """Yield the indices that a scheduler's ``1-3``, ``1,4-8:2%5`` stand for. Local."""
    for part in text.partition("%")[0].split(","):
        if found := re.fullmatch(r"(\d+)(?:-(\d+))?(?::(\d+))?", part):
            first, last = int(found[1]), int(found[2] or found[1])
            yield from map(str, range(first, last + 1, int(found[3] or 1)))
