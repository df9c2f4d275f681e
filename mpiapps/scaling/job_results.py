"""The measurement of a job, or of a step of a job, that has ended."""

from __future__ import annotations

from pathlib import Path

from mpiapps.base.errors import TasksFailed
from mpiapps.batch import history as batch_history
from mpiapps.batch import job_state
from mpiapps.batch.run_status import RECORD, Status
from mpiapps.scaling.local import LAST_LINES, read_record
from mpiapps.scaling.measurement import Measurement, from_records
from mpiapps.scaling.study import Case, Study


def measurement(
    study: Study, case: Case, repeat: int, status: Status, outputs: list[Path]
) -> Measurement:
    """Return the measurement of a run that has ended.

    Parameters
    ----------
    study : Study
    case : Case
    repeat : int
    status : Status
        Its ``run`` is the directory of the events and of the record.
    outputs : list of Path
        Its output files, the oldest first.

    Raises
    ------
    TasksFailed
        If it failed, was cancelled or restarted, or left no time.
    """
    directory = Path(status.run)
    name = f"{case.label}: {directory.name}"
    if status.state != job_state.DONE:
        raise TasksFailed(f"{name}: {describe(status)}{last_lines(outputs)}")
    if status.requeues:
        raise TasksFailed(
            f"{name}: the job was started {status.requeues + 1} times; the time of its"
            " last start is not that of a run"
        )
    elapsed = _elapsed(directory)
    if study.recorded:
        record = read_record(directory / RECORD, case)
        return from_records(
            case, repeat, [record], elapsed, region=study.region, useful=study.useful
        )
    if elapsed <= 0:
        raise TasksFailed(
            f"{name}: less than a second; times of scripts in jobs are whole seconds:"
            " give it more work"
        )
    return Measurement(case, repeat, elapsed, elapsed)


def step_status(directory: Path) -> Status | None:
    """Return the status of a step, or `None` if it has not ended.

    A step that its job has stopped has not ended: it starts again from its beginning,
    so that its restarts do not count.
    """
    last = next(reversed(batch_history.read(directory)), None)
    if last is None or last.event != "end":
        return None
    state = job_state.FAILED if last.code else job_state.DONE
    return Status(str(directory), last.job.number, state, last.code)


def describe(status: Status) -> str:
    """Return state, exit code and reason, for an error."""
    code = f" with exit code {status.code}" if status.code is not None else ""
    return f"{status.state}{code}" + (f" ({status.reason})" if status.reason else "")


def _elapsed(directory: Path) -> float:
    """Return the seconds from the last start to the end; 0 if unknown."""
    times = {event.event: event.time for event in batch_history.read(directory)}
    return float(max(0, times.get("end", 0) - times.get("start", times.get("end", 0))))


def last_lines(outputs: list[Path]) -> str:
    """Return the last lines of the last output, for an error."""
    paths = [path for path in outputs[-1:] if path.is_file()]
    lines = [
        f"  {line}"
        for path in paths
        for line in path.read_text(errors="replace").splitlines()[-LAST_LINES:]
    ]
    return "\n".join([f"; the last lines of {paths[0]}:", *lines]) if paths else ""
