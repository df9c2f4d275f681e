"""The status of runs, from their files and one query per scheduler."""

from __future__ import annotations

from collections.abc import Sequence

from mpiapps.batch import job_state
from mpiapps.batch.client import CommandError
from mpiapps.batch.history import History
from mpiapps.batch.job_state import JobStatus, element
from mpiapps.batch.run_status import Status, aggregate, recorded_end, status_of
from mpiapps.batch.runs import Run
from mpiapps.batch.scheduler import Scheduler, load_scheduler

Answer = dict[str, JobStatus] | CommandError
ClusterKey = tuple[str, str]  # scheduler, cluster


def status(run: Run) -> Status:
    """Return the status of a run."""
    return statuses([run])[0]


def statuses(runs: Sequence[Run]) -> list[Status]:
    """Return the status of each run, with one query per scheduler and cluster.

    A run whose files prove its end needs no query.
    """
    histories = [run.histories() for run in runs]
    queries: dict[ClusterKey, set[str]] = {}  # -> job numbers
    for run, past in zip(runs, histories, strict=True):
        for index, directory in run.directories().items():
            if not recorded_end(directory, past[index], run.recorded):
                job = past[index].job
                numbers = queries.setdefault((run.scheduler.name, job.cluster), set())
                numbers.update([job.number] if job.number else [])
    answers = {
        (name, cluster): _query(load_scheduler(name), cluster, sorted(numbers))
        for (name, cluster), numbers in queries.items()
        if numbers
    }
    if answers:
        histories = list(map(_read_again, runs, histories))
    pairs = zip(runs, histories, strict=True)
    return [_status(run, past, answers) for run, past in pairs]


def _read_again(run: Run, histories: dict[str, History]) -> dict[str, History]:
    """Return histories with events until now, of the same jobs.

    A job that ended between the first reading and the query would have failed, as its
    end would not be known.
    """
    now = run.histories()
    return {
        index: now[index] if now[index].job.same(past.job) else past
        for index, past in histories.items()
    }


def _query(scheduler: Scheduler, cluster: str, numbers: list[str]) -> Answer:
    try:
        return dict(scheduler.job_statuses(numbers, other_cluster(scheduler, cluster)))
    except CommandError as error:
        return error


def other_cluster(scheduler: Scheduler, cluster: str) -> str:
    """Return `cluster`, or an empty string if it is the default cluster of this host.

    Raises
    ------
    CommandError
        If the scheduler of this host cannot query other clusters.
    """
    default = scheduler.cluster() if cluster else ""
    if cluster == default:
        return ""
    if not scheduler.cluster_option:
        raise CommandError(
            f"the job is on cluster {cluster}; this host queries {default or 'none'}"
        )
    return cluster


def _status(
    run: Run, histories: dict[str, History], answers: dict[ClusterKey, Answer]
) -> Status:
    elements = {}
    for index, directory in run.directories().items():
        past = histories[index]
        answer = answers.get((run.scheduler.name, past.job.cluster), {})
        if isinstance(answer, CommandError):
            job: JobStatus | None = JobStatus(job_state.NO_ANSWER, None, str(answer))
        else:
            number = past.job.number
            job = answer.get(number if past.alone else element(number, index))
        elements[index] = status_of(directory, past, job, run.recorded)
    if "" in elements:
        return elements[""]
    return aggregate(Status(str(run.directory), run.id, ""), elements)
