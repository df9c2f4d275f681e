"""Submitting runs, once or again, and cancelling them."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

from mpiapps.base.errors import (
    LaunchError,
    MpiAppsError,
    ReadWriteError,
    UsageError,
    naming,
)
from mpiapps.batch import state
from mpiapps.batch.client import tell
from mpiapps.batch.history import EVENTS
from mpiapps.batch.judge import RECORD, Status, finished
from mpiapps.batch.runs import SCRIPT, Run, find, note
from mpiapps.batch.state import JobId, Submission
from mpiapps.batch.status import elsewhere, status


def submit(script: str, name: str, logs: str) -> Run:
    """Submit a script, whose run gets a folder of its own first. Local.

    The folder's number is not the job's: a cluster that is set up anew, or another one
    that shares the home folders, gives the same numbers again.
    """
    with naming(logs, "write"):
        run = Run(_new_folder(Path(logs), name), script)
    try:
        _hand_over(run)
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
    """Submit a run again, to go on from what it saved; return its number. Local.

    A finished record of a failure is put aside: the program is to run again.

    Raises
    ------
    UsageError
        If it is still under way, or done, or if that cannot be told.
    """
    found = status(run)
    if found.state in (*state.ACTIVE, state.DONE):
        raise UsageError(f"{run.name} is {found.state}; there is nothing to resubmit")
    if found.state in state.UNDECIDED:
        raise UsageError(
            f"{run.name}: {found.state} ({found.reason}); its job may be under way,"
            " and two jobs in one folder would spoil it. Try again when `mpiapps"
            " status` shows how it ended"
        )
    job = _hand_over(run)
    return job.number


def cancel(run: Run) -> Status:
    """End a run's jobs; return the status that it had, or has if it ended by itself.

    The run is noted as cancelled when the scheduler has taken the command. Local.
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
            tell([*run.scheduler.cancel(where), *numbers])
    except LaunchError:
        found = status(run)  # it may have ended just now
        if _may_be_active(found):
            raise
        return found
    for index, one in each.items():
        if _may_be_active(one):
            note(run.folders()[index], "cancel", pasts[index].job)
    return replace(found, state=state.CANCELLED)


def _may_be_active(found: Status) -> bool:
    return found.state in (*state.ACTIVE, *state.UNDECIDED)


def _hand_over(run: Run) -> JobId:
    """Submit the script from the run's folder; return the job.

    What cannot be written is found before the submission: a job without a note of it
    could neither be waited for nor cancelled.
    """
    path, scheduler = run.folder / SCRIPT, run.scheduler
    waits, waited = _parents(run)
    with naming(run.folder, "write"):
        run.folder.mkdir(mode=0o700, exist_ok=True)
        path.write_text(run.script, encoding="utf-8")
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
    answer = tell(command[:-1] if stdin else command, path if stdin else None)
    job = scheduler.job_id(answer)
    if job is None:
        raise LaunchError(f"cannot find the job's number in {answer.strip()!r}")
    if not job.cluster:
        job = replace(job, cluster=cluster)
    try:
        note(run.folder, "submit", job)
    except ReadWriteError:
        tell([*scheduler.cancel(elsewhere(scheduler, job.cluster)), job.number])
        raise
    return job


def _parents(run: Run) -> tuple[list[str], list[str]]:
    """Return the jobs that a run must wait for, and all known jobs of its parents.

    The script looks for itself whether its parents are done, however many jobs they
    take; the scheduler is told of those that are under way now, to start it no earlier.

    Raises
    ------
    UsageError
        If a parent has failed, or it cannot be told, or another cluster has it.
    """
    waits: list[str] = []
    waited: list[str] = []
    here = run.scheduler.cluster()
    for name in run.parents:
        parent = find(str(run.folder.parent), name)
        found = status(parent)
        jobs = {past.job for past in parent.histories().values()} | {parent.job}
        numbers = sorted(job.number for job in jobs if job.number)
        waited += numbers
        if _may_be_active(found):
            if parent.job.cluster not in ("", here):
                raise UsageError(
                    f"--after {name}: it is a job of {parent.job.cluster}, and a job of"
                    f" {here} cannot wait for it"
                )
            waits += numbers
        elif found.state != state.DONE and not run.parents_may_fail:
            raise UsageError(
                f"--after {name}: it is {found.state}; `mpiapps resubmit {name}`"
                f" first, or --after any:{name} if it may fail"
            )
    return waits, waited


def _put_aside(run: Run) -> None:
    """Rename finished records of failures: the program is to run again."""
    for folder in run.folders().values():
        if finished(folder):
            (folder / RECORD).rename(folder / f"failed-{RECORD}")
