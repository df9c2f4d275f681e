"""Submit, resubmit and cancel runs."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

from mpiapps.base.errors import (
    FileAccessError,
    LaunchError,
    MpiAppsError,
    UsageError,
    os_errors,
)
from mpiapps.batch import job_state
from mpiapps.batch.client import run_checked
from mpiapps.batch.history import EVENTS
from mpiapps.batch.job_state import JobId, Submission
from mpiapps.batch.render import LIBRARY
from mpiapps.batch.run_status import RECORD, Status, finished
from mpiapps.batch.runs import SCRIPT, Run, append_event, find_run
from mpiapps.batch.status import elsewhere, status


def submit(script: str, name: str, logs: str) -> Run:
    """Create the folder of a run and submit its script.

    The number of the folder is not the job number: a reinstalled cluster, or a second
    one with the same home folders, repeats job numbers.
    """
    with os_errors(logs, "write"):
        run = Run(_new_folder(Path(logs), name), script)
    try:
        _submit_script(run)
    except MpiAppsError:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise
    return run


def _new_folder(logs: Path, name: str) -> Path:
    logs.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = logs / f"{name}-{number}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("counting has no end")


def resubmit(run: Run) -> str:
    """Submit a run again, to resume from its checkpoint; return the job number.

    A finished record of a failure is renamed, so that the program runs again.

    Raises
    ------
    UsageError
        If the run is active, done, or in an unknown state.
    """
    found = status(run)
    if found.state in (*job_state.ACTIVE, job_state.DONE):
        raise UsageError(f"{run.name} is {found.state}; there is nothing to resubmit")
    if found.state in job_state.UNDECIDED:
        raise UsageError(
            f"{run.name}: {found.state} ({found.reason}); its job may be under way,"
            " and two jobs in one folder would spoil it. Try again when `mpiapps"
            " status` shows how it ended"
        )
    job = _submit_script(run)
    return job.number


def cancel(run: Run) -> Status:
    """Cancel the jobs of a run; return the status before, or if it ended by itself.

    The event is written when the scheduler has accepted the command.
    """
    found = status(run)
    if not _may_be_active(found):
        return found
    pasts = run.histories()
    each = found.elements or {"": found}
    jobs = {pasts[index].job for index, one in each.items() if _may_be_active(one)}
    clusters = {job.cluster for job in jobs}
    try:
        for cluster in clusters:
            numbers = sorted(job.number for job in jobs if job.cluster == cluster)
            where = elsewhere(run.scheduler, cluster)
            run_checked([*run.scheduler.cancel(where), *numbers])
    except LaunchError:
        found = status(run)  # it may have ended just now
        if _may_be_active(found):
            raise
        return found
    for index, one in each.items():
        if _may_be_active(one):
            append_event(run.folders()[index], "cancel", pasts[index].job)
    return replace(found, state=job_state.CANCELLED)


def _may_be_active(found: Status) -> bool:
    return found.state in (*job_state.ACTIVE, *job_state.UNDECIDED)


def _submit_script(run: Run) -> JobId:
    """Submit the script from the run's folder; return the job.

    Files are written before the submission: a job without an event could neither be
    waited for nor cancelled.
    """
    path, scheduler = run.folder / SCRIPT, run.scheduler
    waits, waited = _parents(run)
    with os_errors(run.folder, "write"):
        run.folder.mkdir(mode=0o700, exist_ok=True)
        path.write_text(run.script, encoding="utf-8")
        if not (run.folder / LIBRARY.name).exists():
            shutil.copyfile(LIBRARY, run.folder / LIBRARY.name)
        (run.folder / EVENTS).open("a").close()
        _put_aside(run)
    variables = [f"MPIAPPS_RUN={run.name}"]
    variables += [f"MPIAPPS_WAITED={':'.join(waited)}"] if waited else []
    cluster = scheduler.cluster()
    variables += [f"MPIAPPS_CLUSTER={cluster}"] if cluster else []
    is_array, folder = bool(run.indices), str(run.folder)
    command = scheduler.submission(
        Submission(str(path), variables, folder, is_array, waits)
    )
    stdin = scheduler.reads_stdin
    answer = run_checked(command[:-1] if stdin else command, path if stdin else None)
    job = scheduler.job_id(answer)
    if job is None:
        raise LaunchError(f"cannot find the job's number in {answer.strip()!r}")
    if not job.cluster:
        job = replace(job, cluster=cluster)
    try:
        append_event(run.folder, "submit", job)
    except FileAccessError:
        run_checked([*scheduler.cancel(elsewhere(scheduler, job.cluster)), job.number])
        raise
    return job


def _parents(run: Run) -> tuple[list[str], list[str]]:
    """Return the active jobs of the parent runs, and all their known jobs.

    The script checks at its start whether the parents are done; the dependency on the
    active jobs only delays that start.

    Raises
    ------
    UsageError
        If a parent has failed, is in an unknown state, or is on another cluster.
    """
    waits: list[str] = []
    waited: list[str] = []
    here = run.scheduler.cluster()
    for name in run.parents:
        parent = find_run(str(run.folder.parent), name)
        found = status(parent)
        jobs = {past.job for past in parent.histories().values()} | {parent.job}
        numbers = sorted(job.number for job in jobs if job.number)
        waited += numbers
        if _may_be_active(found):
            if parent.job.cluster not in ("", here):
                raise UsageError(
                    f"--dependency {name}: it is a job of {parent.job.cluster}; a job"
                    f" of {here} cannot wait for it"
                )
            waits += numbers
        elif found.state != job_state.DONE and not run.parents_may_fail:
            raise UsageError(
                f"--dependency {name}: it is {found.state}; `mpiapps resubmit {name}`"
                f" first, or --dependency any:{name} if it may fail"
            )
    return waits, waited


def _put_aside(run: Run) -> None:
    """Rename finished records of failures, so that the program runs again."""
    for folder in run.folders().values():
        if finished(folder):
            (folder / RECORD).rename(folder / f"failed-{RECORD}")
