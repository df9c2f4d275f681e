"""The status of runs, from their files and one query per scheduler."""

from __future__ import annotations

from collections.abc import Sequence

from mpiapps.batch import job_state
from mpiapps.batch.client import NoAnswer
from mpiapps.batch.history import History
from mpiapps.batch.job_state import JobStatus, element
from mpiapps.batch.run_status import Status, aggregate, recorded_end, status_of
from mpiapps.batch.runs import Run
from mpiapps.batch.scheduler import TABLE, Scheduler

Known = dict[str, JobStatus] | NoAnswer


def status(run: Run) -> Status:
    """Return the status of a run."""
    return statuses([run])[0]


def statuses(found: Sequence[Run]) -> list[Status]:
    """Return the status of each run, with one query per scheduler and cluster.

    A run whose files prove its end needs no query.
    """
    pasts = [run.histories() for run in found]
    asked: dict[tuple[str, str], set[str]] = {}  # scheduler, cluster -> numbers
    for run, past in zip(found, pasts, strict=True):
        for index, folder in run.folders().items():
            if not recorded_end(folder, past[index], run.recorded):
                job = past[index].job
                numbers = asked.setdefault((run.scheduler.name, job.cluster), set())
                numbers.update([job.number] if job.number else [])
    answers = {
        (name, cluster): _ask(TABLE[name], cluster, sorted(numbers))
        for (name, cluster), numbers in asked.items()
        if numbers
    }
    return [_status(run, past, answers) for run, past in zip(found, pasts, strict=True)]


def _ask(scheduler: Scheduler, cluster: str, numbers: list[str]) -> Known:
    try:
        return dict(scheduler.seen(numbers, elsewhere(scheduler, cluster)))
    except NoAnswer as error:
        return error


def elsewhere(scheduler: Scheduler, cluster: str) -> str:
    """Return `cluster`, or an empty string if it is the default cluster of this host.

    Raises
    ------
    NoAnswer
        If the scheduler of this host cannot query other clusters.
    """
    here = scheduler.cluster() if cluster else ""
    if cluster == here:
        return ""
    if not scheduler.federated:
        raise NoAnswer(f"it is a job of {cluster}; this host asks {here or 'nothing'}")
    return cluster


def _status(
    run: Run, past: dict[str, History], answers: dict[tuple[str, str], Known]
) -> Status:
    elements = {}
    for index, folder in run.folders().items():
        own = past[index]
        known = answers.get((run.scheduler.name, own.job.cluster), {})
        if isinstance(known, NoAnswer):
            seen: JobStatus | None = JobStatus(job_state.NO_ANSWER, None, str(known))
        else:
            number = own.job.number
            seen = known.get(number if own.alone else element(number, index))
        elements[index] = status_of(folder, own, seen, run.recorded)
    if "" in elements:
        return elements[""]
    return aggregate(Status(str(run.folder), run.id, ""), elements)
