"""Runs of a study as steps of one job, whose hosts and cores suffice for each of them.

The job launches the runs one after another, and writes events and record of each into
a directory of its own; it leaves out those that are done, so it can be submitted again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from mpiapps.base.errors import TasksFailed
from mpiapps.base.streams import write_err
from mpiapps.base.units import format_seconds
from mpiapps.batch import job_state, runs
from mpiapps.batch.request import Job, Step
from mpiapps.batch.runs import Run
from mpiapps.batch.waiting import as_ended
from mpiapps.scaling.collect import missing
from mpiapps.scaling.history import History
from mpiapps.scaling.job_results import (
    describe,
    last_lines,
    measurement,
    step_status,
)
from mpiapps.scaling.jobs import (
    Collected,
    JobStudy,
    case_name,
    interrupt_reported,
    is_reported,
    last_runs,
    mark_reported,
    submit,
    unsubmitted,
)
from mpiapps.scaling.study import Case

OUTPUT = "output.log"  # of a step, in its directory
STEPS_FAILED = TasksFailed.exit_code  # of the job script
# States of a job that launched its steps, until the last one or until its limit. Slurm
# gives a job the state of a step that ran out of memory.
AT_WORK = (
    job_state.DONE,
    job_state.STOPPED,
    job_state.TIMED_OUT,
    job_state.PREEMPTED,
    job_state.OUT_OF_MEMORY,
)


def allocation_job(
    jobs: JobStudy, remaining: list[tuple[Case, int]], logs: Path
) -> Job:
    """Return the checked job that launches runs in the order of `remaining`.

    Raises
    ------
    UsageError
        If the request is invalid, or the program is a command.
    """
    cases = list(dict.fromkeys(case for case, _ in remaining))
    single = {case: jobs.job(case, 0, logs) for case in cases}
    requests = [job.request for job in single.values()]
    job = single[cases[0]]
    request = replace(
        job.request,
        name=allocation_name(jobs),
        **{
            field: max(getattr(one, field) for one in requests)
            for field in ("nodes", "ranks_per_node", "threads")
        },
    )
    return replace(
        job,
        request=request,
        steps=tuple(
            Step(case_name(case), one.request, one.argv) for case, one in single.items()
        ),
        order=tuple(f"{case_name(case)}-{repeat}" for case, repeat in remaining),
    )


def allocation_name(jobs: JobStudy) -> str:
    """Return the name of the job."""
    return f"{jobs.program}-allocation"


def collect_allocation(
    jobs: JobStudy, history: History, series: str, *, wait: bool
) -> Collected:
    """Submit a job for what is missing, and record its runs when it has ended.

    The job of an earlier call is collected first. Without `wait`, the runs that have
    ended are recorded while the job goes on.
    """
    logs = jobs.logs(history, series)
    allocation = Allocation(jobs, history, series, wait)
    stopped = False
    with interrupt_reported(logs):
        found = last_runs(logs).get(allocation_name(jobs))
        if found is not None and not is_reported(found):
            write_err(f"mpiapps: {found.name} found from before\n")
            allocation.collect(found)
        remaining = allocation.remaining()
        if remaining:
            run = submit(allocation_job(jobs, remaining, logs))
            write_err(
                f"mpiapps: 1 job submitted with {len(remaining)} runs; mpiapps status"
                f" --logs {logs} lists it\n"
            )
            allocation.collect(run)
            left = len(allocation.remaining())
            stopped = left > 0
            if stopped:
                write_err(
                    f"mpiapps: {run.name} has stopped after {len(remaining) - left} of"
                    f" {len(remaining)} runs; the same command submits the others, with"
                    " more --time if a run takes longer\n"
                )
    return Collected(list(allocation.failed.values()), allocation.active, stopped)


@dataclass
class Allocation:
    """What is known of a study in one allocation.

    Attributes
    ----------
    jobs : JobStudy
    history : History
    series : str
    wait : bool
        Whether to wait for a job to end.
    failed : dict
        Errors by case; that of `None` is of a job that did not launch its steps.
    active : int
        Number of jobs that have not ended.
    """

    jobs: JobStudy
    history: History
    series: str
    wait: bool
    failed: dict[Case | None, str] = field(default_factory=dict)
    active: int = 0

    def remaining(self) -> list[tuple[Case, int]]:
        """Return the runs that another job could make now."""
        if self.active or None in self.failed:
            return []
        pairs = missing(self.jobs.study, self.history, self.series)
        return [(case, repeat) for case, repeat in pairs if case not in self.failed]

    def collect(self, run: Run) -> None:
        """Record the steps of a job that are done; report failures at its end."""
        if not run.ids():
            self._fail(None, unsubmitted(run))
            return
        status = dict(as_ended([run], once=not self.wait)).get(0)
        self._record(run, report=status is not None)
        if status is None:
            self.active += 1
            return
        mark_reported(run)
        if status.state not in AT_WORK and status.code != STEPS_FAILED:
            lines = last_lines(runs.outputs(run))
            self._fail(None, f"{run.name}: {describe(status)}{lines}")

    def _record(self, run: Run, *, report: bool) -> None:
        """Record the steps that have ended, and report those that failed."""
        study = self.jobs.study
        for case, repeat in missing(study, self.history, self.series):
            step = step_status(run.directory / f"{case_name(case)}-{repeat}")
            if step is None:
                continue
            output = Path(step.run) / OUTPUT
            try:
                measured = measurement(study, case, repeat, step, [output])
            except TasksFailed as error:
                if report and case not in self.failed:
                    self._fail(case, str(error))
                continue
            self.history.add(replace(measured, series=self.series))
            write_err(f"mpiapps: {case.label}: {format_seconds(measured.seconds)}\n")

    def _fail(self, case: Case | None, text: str) -> None:
        self.failed[case] = text
        write_err(f"mpiapps: {text}\n")
