"""The states of a job, the same for every scheduler."""

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
STOPPED = "stopped"  # exit code 75: checkpointed, can be resumed
LOST = "lost"  # no longer in the scheduler, and its end is not recorded
UNKNOWN = "unknown"  # unknown to the scheduler, or in a state unknown here
NO_ANSWER = "no answer"  # the scheduler cannot be queried

ACTIVE = (PENDING, RUNNING)
KILLED = (TIMED_OUT, OUT_OF_MEMORY, PREEMPTED, CANCELLED)  # by the scheduler
UNDECIDED = (NO_ANSWER, UNKNOWN)  # it may be active


@dataclass(frozen=True)
class JobStatus:
    """The status of one job in a scheduler.

    Attributes
    ----------
    state : str
        One of the states of this module.
    code : int, optional
        The exit code of the job script, if the scheduler knows it.
    reason : str
        The state or reason as the scheduler prints it.
    """

    state: str
    code: int | None = None
    reason: str = ""


Answers = Mapping[str, JobStatus]  # by job number; elements of arrays by `element`


@dataclass(frozen=True)
class JobId:
    """A job number and its cluster: two clusters may use the same number.

    An empty cluster is the default cluster of this host: PBS job numbers contain their
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
    """A script to submit, with the options that are not directives.

    Attributes
    ----------
    script : str
        Path of the script.
    variables : sequence of str
        ``NAME=VALUE``, environment variables of the job.
    directory : str
        Directory of the job's output files.
    is_array : bool
    waits : sequence of str
        Numbers of the jobs that must end first.
    """

    script: str
    variables: Sequence[str]
    directory: str
    is_array: bool = False
    waits: Sequence[str] = ()


def element(number: str, index: str) -> str:
    """Return the key of an array's element."""
    return f"{number}_{index}"


def indices(text: str) -> Iterator[str]:
    """Yield the indices of ``1-3`` or ``1,4-8:2%5``."""
    for part in text.partition("%")[0].split(","):
        if match := re.fullmatch(r"(\d+)(?:-(\d+))?(?::(\d+))?", part):
            first, last = int(match[1]), int(match[2] or match[1])
            yield from map(str, range(first, last + 1, int(match[3] or 1)))
