"""Runs of a study as jobs of a cluster: one job for each case and repeat.

The name of a job has its case and repeat, and the directory of its run is made before
the submission: an interrupted study finds its jobs again.
"""

from __future__ import annotations

import hashlib
import re
import signal
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mpiapps.base.errors import TasksFailed, os_errors
from mpiapps.base.streams import write_err
from mpiapps.base.units import format_seconds
from mpiapps.batch import runs, submission
from mpiapps.batch.commands import job_of
from mpiapps.batch.render import render
from mpiapps.batch.request import Job
from mpiapps.batch.runs import Run
from mpiapps.batch.waiting import as_ended
from mpiapps.scaling.collect import missing
from mpiapps.scaling.history import History, version_of
from mpiapps.scaling.job_results import measurement
from mpiapps.scaling.options import FIXED
from mpiapps.scaling.study import Case, Study

REPORTED = "failure-reported"  # a file in the directory of a run; it is submitted again


@dataclass(frozen=True)
class JobStudy:
    """A study whose runs are jobs.

    Attributes
    ----------
    values : Namespace
        The command line, with the options of the jobs.
    study : Study
    """

    values: Namespace
    study: Study

    def job(self, case: Case, repeat: int, logs: Path) -> Job:
        """Return the checked job of a run.

        Raises
        ------
        UsageError
            If the request is invalid, or the program is a command.
        """
        nodes = case.nodes or 1
        own = dict(FIXED) | {
            "nodes": nodes,
            "ranks_per_node": case.ranks // nodes,
            "ranks": 0,
            "threads": case.threads,
            "logs": str(logs),
            "name": self.name(case, repeat),
        }
        values = Namespace(**vars(self.values) | own)
        return job_of(values, self.study.arguments_of(case))

    @property
    def program(self) -> str:
        """First part of the names of jobs."""
        return self.values.name or re.sub(r".*/|\.py$", "", self.study.program)

    def name(self, case: Case, repeat: int) -> str:
        """Return the name of the job of a run, such as ``pi-2n4r1t-0``."""
        return f"{self.program}-{case_name(case)}-{repeat}"

    def series(self) -> str:
        """Return the series of measurements on this cluster: commit, site, MPI."""
        job = self.job(self.study.cases[0], 0, Path("logs"))
        request, site = job.request, job.site
        words = [site.name or site.scheduler, request.queue, request.mpi]
        words += [request.launcher, *job.directives]
        return f"{version_of(self.study)} on {' '.join(filter(None, words))}"

    def logs(self, history: History, series: str) -> Path:
        """Return the directory of the runs of a series."""
        return history.runs / hashlib.sha256(series.encode()).hexdigest()[:8]

    def scripts(self, logs: Path) -> list[str]:
        """Return the script of the first run of each case; raise if one is invalid."""
        return [render(self.job(case, 0, logs)) for case in self.study.cases]


def case_name(case: Case) -> str:
    """Return the name of a case in names of jobs and steps, such as ``2n4r1t``."""
    nodes = f"{case.nodes}n" if case.nodes else ""
    return f"{nodes}{case.ranks}r{case.threads}t"


@dataclass(frozen=True)
class Collected:
    """What a call has collected.

    Attributes
    ----------
    failed : list of str
        Errors of runs that failed.
    active : int
        Number of jobs that have not ended.
    stopped : bool
        Whether a job has ended before its last run.
    """

    failed: list[str]
    active: int = 0
    stopped: bool = False


def collect_jobs(
    jobs: JobStudy, history: History, series: str, *, wait: bool
) -> Collected:
    """Submit what is missing, and record each run when its job has ended.

    The same command submits the jobs that failed again.

    Parameters
    ----------
    jobs : JobStudy
    history : History
    series : str
    wait : bool
        Whether to wait for all jobs, or else to take those that have ended.
    """
    remaining = missing(jobs.study, history, series)
    logs = jobs.logs(history, series)
    if remaining:
        jobs.scripts(logs)
    failed: list[str] = []
    with interrupt_reported(logs):
        submitted = _submit(jobs, remaining, logs, failed)
        selected = [run for _, _, run in submitted]
        ended = 0
        for position, status in as_ended(selected, once=not wait):
            ended += 1
            case, repeat, run = submitted[position]
            try:
                measured = measurement(
                    jobs.study, case, repeat, status, runs.outputs(run)
                )
            except TasksFailed as error:
                mark_reported(run)
                _report_failure(failed, str(error))
                continue
            history.add(replace(measured, series=series))
            write_err(
                f"mpiapps: job {ended} of {len(submitted)}: {case.label}:"
                f" {format_seconds(measured.seconds)}\n"
            )
    return Collected(failed, len(submitted) - ended)


@contextmanager
def interrupt_reported(logs: Path) -> Iterator[None]:
    """Print at Ctrl-C what becomes of the jobs."""
    try:
        yield
    except KeyboardInterrupt:
        write_err(
            "mpiapps: the jobs go on; the same command collects them. mpiapps status"
            f" --logs {logs} lists them, and mpiapps cancel --logs {logs} RUN cancels"
            " one\n"
        )
        raise


def _report_failure(failed: list[str], text: str) -> None:
    failed.append(text)
    write_err(f"mpiapps: {text}\n")


def _submit(
    jobs: JobStudy, remaining: list[tuple[Case, int]], logs: Path, failed: list[str]
) -> list[tuple[Case, int, Run]]:
    """Return the runs of all that is to do: those that exist, and new ones."""
    existing = last_runs(logs)
    submitted, new = [], 0
    for case, repeat in remaining:
        run = existing.get(jobs.name(case, repeat))
        if run is None or is_reported(run):
            run = submit(jobs.job(case, repeat, logs))
            new += 1
        elif not run.ids():
            _report_failure(failed, f"{case.label}: {unsubmitted(run)}")
            continue
        submitted.append((case, repeat, run))
    if submitted:
        found = len(submitted) - new
        write_err(
            f"mpiapps: {new} jobs submitted"
            + (f", {found} found from before" if found else "")
            + f"; mpiapps status --logs {logs} lists them\n"
        )
    return submitted


def submit(job: Job) -> Run:
    """Submit a job; a signal waits until its number is recorded."""
    with interrupts_blocked():
        return submission.submit(render(job), job.request.name, job.request.logs)


def unsubmitted(run: Run) -> str:
    """Return the error for a run without a job number."""
    return (
        f"{run.directory} was not submitted, or the command was killed meanwhile. If"
        f" the queue has a job of the name {run.name.rpartition('-')[0]}, wait until it"
        " has started; if not, remove the directory. Then give the same command again"
    )


def mark_reported(run: Run) -> None:
    """Record that the failure of a run was reported: it is submitted again."""
    with os_errors(run.directory, "write"):
        (run.directory / REPORTED).touch()


def is_reported(run: Run) -> bool:
    """Return whether the failure of a run was reported."""
    return (run.directory / REPORTED).exists()


def last_runs(logs: Path) -> dict[str, Run]:
    """Return the last run by the name of its job."""
    numbered: dict[str, tuple[int, Run]] = {}
    for run in runs.all_runs(str(logs)) if logs.exists() else []:
        name, _, number = run.name.rpartition("-")
        if number.isdigit() and int(number) > numbered.get(name, (0, run))[0]:
            numbered[name] = int(number), run
    return {name: run for name, (_, run) in numbered.items()}


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block SIGINT and SIGTERM: a submission and its record belong together.

    The submission command inherits the mask, so that Ctrl-C does not end it either.
    """
    both = {signal.SIGINT, signal.SIGTERM}
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, both)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
