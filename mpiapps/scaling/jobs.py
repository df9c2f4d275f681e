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
from mpiapps.batch import history as batch_history
from mpiapps.batch import job_state, runs, submission
from mpiapps.batch.commands import job_of
from mpiapps.batch.render import render
from mpiapps.batch.request import Job
from mpiapps.batch.run_status import RECORD, Status
from mpiapps.batch.runs import Run
from mpiapps.batch.waiting import as_ended
from mpiapps.scaling.collect import missing
from mpiapps.scaling.history import History, version_of
from mpiapps.scaling.local import LAST_LINES, read_record
from mpiapps.scaling.measurement import Measurement, from_records
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

    def name(self, case: Case, repeat: int) -> str:
        """Return the name of the job of a run, such as ``pi-2n4r1t-0``."""
        program = self.values.name or re.sub(r".*/|\.py$", "", self.study.program)
        nodes = f"{case.nodes}n" if case.nodes else ""
        return f"{program}-{nodes}{case.ranks}r{case.threads}t-{repeat}"

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


def collect_jobs(
    jobs: JobStudy, history: History, series: str, *, wait: bool
) -> tuple[list[str], int]:
    """Submit what is missing, and record each run when its job has ended.

    Parameters
    ----------
    jobs : JobStudy
    history : History
    series : str
    wait : bool
        Whether to wait for all jobs, or else to take those that have ended.

    Returns
    -------
    failed : list of str
        Errors of jobs that failed; the same command submits them again.
    active : int
        Number of jobs that have not ended.
    """
    todo = missing(jobs.study, history, series)
    logs = jobs.logs(history, series)
    if todo:
        jobs.scripts(logs)
    failed: list[str] = []
    try:
        submitted = _submit(jobs, todo, logs, failed)
        selected = [run for _, _, run in submitted]
        ended = 0
        for position, status in as_ended(selected, once=not wait):
            ended += 1
            case, repeat, run = submitted[position]
            try:
                measurement = _measurement(jobs.study, case, repeat, run, status)
            except TasksFailed as error:
                with os_errors(run.directory, "write"):
                    (run.directory / REPORTED).touch()
                _report_failure(failed, str(error))
                continue
            history.add(replace(measurement, series=series))
            write_err(
                f"mpiapps: job {ended} of {len(submitted)}: {case.label}:"
                f" {format_seconds(measurement.seconds)}\n"
            )
    except KeyboardInterrupt:
        write_err(
            "mpiapps: the jobs go on; the same command collects them. mpiapps status"
            f" --logs {logs} lists them, and mpiapps cancel --logs {logs} RUN cancels"
            " one\n"
        )
        raise
    return failed, len(submitted) - ended


def _report_failure(failed: list[str], text: str) -> None:
    failed.append(text)
    write_err(f"mpiapps: {text}\n")


def _submit(
    jobs: JobStudy, todo: list[tuple[Case, int]], logs: Path, failed: list[str]
) -> list[tuple[Case, int, Run]]:
    """Return the runs of all that is to do: those that exist, and new ones."""
    existing = _existing(logs)
    submitted, new = [], 0
    for case, repeat in todo:
        run = existing.get(jobs.name(case, repeat))
        if run is None or (run.directory / REPORTED).exists():
            job = jobs.job(case, repeat, logs)
            with interrupts_blocked():
                run = submission.submit(render(job), job.request.name, str(logs))
            new += 1
        elif not run.ids():
            _report_failure(
                failed,
                f"{case.label}: {run.directory} was not submitted, or the command"
                " was killed meanwhile. If the queue has a job of the name"
                f" {jobs.name(case, repeat)}, wait until it has started; if not,"
                " remove the directory. Then give the same command again",
            )
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


def _existing(logs: Path) -> dict[str, Run]:
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


def _measurement(
    study: Study, case: Case, repeat: int, run: Run, status: Status
) -> Measurement:
    """Return the measurement of a job that has ended.

    Raises
    ------
    TasksFailed
        If it failed, was cancelled or restarted, or left no time.
    """
    name = f"{case.label}: {run.name}"
    if status.state != job_state.DONE:
        code = f" with exit code {status.code}" if status.code is not None else ""
        reason = f" ({status.reason})" if status.reason else ""
        raise TasksFailed(f"{name}: {status.state}{code}{reason}{_last_lines(run)}")
    if status.requeues:
        raise TasksFailed(
            f"{name}: the job was started {status.requeues + 1} times; the time of its"
            " last start is not that of a run"
        )
    elapsed = _elapsed(run)
    if study.recorded:
        record = read_record(run.directory / RECORD, case)
        return from_records(
            case, repeat, [record], elapsed, region=study.region, useful=study.useful
        )
    if elapsed <= 0:
        raise TasksFailed(
            f"{name}: less than a second; times of scripts in jobs are whole seconds:"
            " give it more work"
        )
    return Measurement(case, repeat, elapsed, elapsed)


def _elapsed(run: Run) -> float:
    """Return the seconds from the start of the job to its end; 0 if unknown."""
    times = {event.event: event.time for event in batch_history.read(run.directory)}
    return float(max(0, times.get("end", 0) - times.get("start", times.get("end", 0))))


def _last_lines(run: Run) -> str:
    """Return the last lines of a job's output, for an error."""
    paths = runs.outputs(run)[-1:]
    lines = [
        f"  {line}"
        for path in paths
        for line in path.read_text(errors="replace").splitlines()[-LAST_LINES:]
    ]
    return "\n".join([f"; the last lines of {paths[0]}:", *lines]) if paths else ""
