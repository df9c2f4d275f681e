"""Submit, resubmit and cancel runs."""

from __future__ import annotations

import shutil
from contextlib import suppress
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
from mpiapps.batch.history import EVENTS
from mpiapps.batch.job_state import JobId, Submission
from mpiapps.batch.run_status import RECORD, Status, finished
from mpiapps.batch.runs import SCRIPT, Run, append_event, find_run
from mpiapps.batch.scheduler import LIBRARY, Scheduler
from mpiapps.batch.staging import STAGE_LIBRARY
from mpiapps.batch.status import other_cluster, status
from mpiapps.storage.atomic_file import AtomicFile


def submit(script: str, name: str, logs: str) -> Run:
    """Create the directory of a run and submit its script.

    The directory's number is not the job number: a reinstalled cluster, or a second
    one with the same home directories, repeats job numbers.
    """
    with os_errors(logs, "write"):
        run = Run(_new_directory(Path(logs), name), script)
    try:
        _submit_script(run)
    except MpiAppsError:
        shutil.rmtree(run.directory, ignore_errors=True)
        raise
    return run


def _new_directory(logs: Path, name: str) -> Path:
    logs.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        directory = logs / f"{name}-{number}"
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            return directory
        number += 1


def resubmit(run: Run) -> str:
    """Submit a run again, to resume from its checkpoint; return the job number.

    A finished record of a failure is renamed, so that the program runs again.

    Raises
    ------
    UsageError
        If the run is active, done, or in an unknown state.
    """
    current = status(run)
    if current.state in (*job_state.ACTIVE, job_state.DONE):
        raise UsageError(f"{run.name} is {current.state}; there is nothing to resubmit")
    if current.state in job_state.UNDECIDED:
        raise UsageError(
            f"{run.name}: {current.state} ({current.reason}); its job may be active,"
            " and two jobs in one directory would corrupt it. Try again when `mpiapps"
            " status` shows how it ended"
        )
    return _submit_script(run).number


def is_ending(run: Run) -> bool:
    """Return whether the run's jobs are active only until a cancellation is done."""
    current, histories = status(run), run.histories()
    elements = current.elements or {"": current}
    active = [i for i, one in elements.items() if one.state in job_state.ACTIVE]
    return bool(active) and all(histories[index].cancelled for index in active)


def cancel(run: Run) -> Status:
    """Cancel the jobs of a run; return the status before, or if it ended by itself.

    The event is written when the scheduler has accepted the command.
    """
    before = status(run)
    if not _may_be_active(before):
        return before
    histories = run.histories()
    elements = before.elements or {"": before}
    active = [index for index, one in elements.items() if _may_be_active(one)]
    jobs = {histories[index].job for index in active}
    try:
        for cluster in {job.cluster for job in jobs}:
            numbers = sorted(job.number for job in jobs if job.cluster == cluster)
            _cancel_jobs(run.scheduler, cluster, numbers)
    except LaunchError:
        after = status(run)  # it may have ended meanwhile
        if _may_be_active(after):
            raise
        return after
    for index in active:
        append_event(run.directories()[index], "cancel", histories[index].job)
    return replace(before, state=job_state.CANCELLED)


def _cancel_jobs(scheduler: Scheduler, cluster: str, numbers: list[str]) -> None:
    selection = scheduler.cluster_words(other_cluster(scheduler, cluster))
    scheduler.run([*scheduler.cancel_command, *selection, *numbers])


def _may_be_active(status: Status) -> bool:
    return status.state in (*job_state.ACTIVE, *job_state.UNDECIDED)


def _submit_script(run: Run) -> JobId:
    """Submit the script from the run's directory; return the job.

    Files are written before the submission: a job without an event could neither be
    waited for nor cancelled.
    """
    path, scheduler = run.directory / SCRIPT, run.scheduler
    waits, waited = _parents(run)
    with os_errors(run.directory, "write"):
        run.directory.mkdir(mode=0o700, exist_ok=True)
        AtomicFile(path).commit(run.script)  # `mpiapps status` reads it at any moment
        library = run.directory / LIBRARY.name
        if not library.exists():
            AtomicFile(library).commit(scheduler.shell_library())
        stage_library = run.directory / STAGE_LIBRARY.name
        if STAGE_LIBRARY.name in run.script and not stage_library.exists():
            AtomicFile(stage_library).commit(STAGE_LIBRARY.read_bytes())
        (run.directory / EVENTS).open("a").close()
        _rename_failed_records(run)
    variables = [f"MPIAPPS_RUN={run.name}"]
    variables += [f"MPIAPPS_WAITED={':'.join(waited)}"] if waited else []
    cluster = scheduler.cluster()
    variables += [f"MPIAPPS_CLUSTER={cluster}"] if cluster else []
    is_array, directory = bool(run.indices), str(run.directory)
    command = scheduler.submission(
        Submission(str(path), variables, directory, is_array, waits)
    )
    if scheduler.reads_stdin:
        output = scheduler.run(command[:-1], stdin=path)
    else:
        output = scheduler.run(command)
    job = scheduler.job_id(output)
    if job is None:
        raise LaunchError(f"{command[0]} printed no job number: {output.strip()!r}")
    if not job.cluster:
        job = replace(job, cluster=cluster)
    try:
        append_event(run.directory, "submit", job)
    except FileAccessError:
        _cancel_jobs(scheduler, job.cluster, [job.number])
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
    active: list[str] = []
    known: list[str] = []
    cluster = run.scheduler.cluster()
    for name in run.parents:
        parent = find_run(str(run.directory.parent), name)
        current = status(parent)
        jobs = {past.job for past in parent.histories().values()} | {parent.job}
        numbers = sorted(job.number for job in jobs if job.number)
        known += numbers
        if _may_be_active(current):
            if parent.job.cluster not in ("", cluster):
                raise UsageError(
                    f"--dependency {name}: its job is on cluster {parent.job.cluster};"
                    f" a job of {cluster} cannot wait for it"
                )
            active += numbers
        elif current.state != job_state.DONE and not run.parents_may_fail:
            raise UsageError(
                f"--dependency {name}: it is {current.state}; `mpiapps resubmit {name}`"
                f" first, or --dependency any:{name} if it may fail"
            )
    return active, known


def _rename_failed_records(run: Run) -> None:
    """Rename finished records of failures, so that the program runs again."""
    for directory in run.directories().values():
        if finished(directory):
            (directory / RECORD).rename(directory / f"failed-{RECORD}")
