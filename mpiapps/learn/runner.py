"""Run a learner's file on ranks, up to the first run that does not end well."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mpiapps.base.errors import LaunchError
from mpiapps.base.processes import SESSION_TAG, end_session
from mpiapps.base.threads import THREAD_VARIABLES
from mpiapps.launch.children import Children, Process, kill_after_grace
from mpiapps.launch.mpiexec import Mpiexec, command_line, find_launcher
from mpiapps.learn import explain
from mpiapps.learn.exercise import Job, Run, Wrong

OBSERVER = str(Path(__file__).with_name("observer.py"))
POLL = 0.05  # s
# Samples of the observer, 0.1 s apart, in which no rank moves. They are counted on each
# rank, so that a busy host is not a deadlock.
STILL = 15
STOP_TIMEOUT = 5.0  # s to kill what mpiexec has left


@dataclass(frozen=True)
class CheckRun:
    """A check that runs: mpiexec's process, and the directory of its ranks."""

    process: subprocess.Popen[bytes]
    directory: Path
    end: float


def run_jobs(
    jobs: Sequence[Job], limit: float, launcher: Mpiexec | None = None
) -> tuple[list[Run], Wrong | None]:
    """Run `jobs` in order, in one start of mpiexec; stop at the first that fails.

    Parameters
    ----------
    jobs : sequence of Job
    limit : float
        Time limit for all of them, in s.
    launcher : Mpiexec, optional
        That of the loaded MPI library by default.

    Returns
    -------
    runs : list of Run
        Those that ended well.
    failure : Wrong or None
        Why the next one did not.

    Raises
    ------
    LaunchError
        If there is no MPI library, or the ranks did not start.
    """
    runs: list[Run] = []
    with _started(jobs, limit, launcher or find_launcher()) as ranks:
        for index, job in enumerate(jobs):
            failure = _wait(ranks, index, job)
            if failure is not None:
                return runs, failure
            runs.append(_run(ranks.directory, index, job))
    return runs, None


@contextmanager
def _started(
    jobs: Sequence[Job], limit: float, launcher: Mpiexec
) -> Iterator[CheckRun]:
    with tempfile.TemporaryDirectory(
        prefix="mpiapps-learn-", ignore_cleanup_errors=True
    ) as name:
        directory = Path(name)
        (directory / "jobs.json").write_text(json.dumps([asdict(job) for job in jobs]))
        size = max(job.ranks for job in jobs)
        command, variables = command_line(launcher, size, [OBSERVER, name])
        tag = secrets.token_hex(8)
        # Open MPI's session directory is in it, and removed with it, also after a kill.
        own = {SESSION_TAG: tag, "PRTE_MCA_prte_tmpdir_base": name}
        own["OPENBLAS_NUM_THREADS"] = "1"  # exercise 13 sets OMP_NUM_THREADS
        environ = {k: v for k, v in os.environ.items() if k not in THREAD_VARIABLES}
        env = {**environ, **variables, **own}
        with (
            Children(partial(_end, tag)) as children,
            (directory / "log").open("wb") as log,
        ):
            process = children.start(command, log, env)
            yield CheckRun(process, directory, time.monotonic() + limit)


def _end(tag: str, processes: Sequence[Process]) -> None:
    """Let mpiexec end its ranks, then kill what is left."""
    kill_after_grace(processes)
    for process in processes:
        end_session(process.pid, STOP_TIMEOUT, tag=tag)


def _wait(ranks: CheckRun, index: int, job: Job) -> Wrong | None:
    """Wait for the end of a run on all ranks; return why it failed, if it did."""
    while True:
        ended = ranks.process.poll() is not None  # before the results are read
        results = [
            _read(ranks.directory / f"{index}-{r}.json") for r in range(job.ranks)
        ]
        if all(results):
            break
        states = [_read(ranks.directory / f"watch-{r}.json") for r in range(job.ranks)]
        places = explain.places(index, results, states)
        if all(place.finished or place.still >= STILL for place in places):
            return explain.error(job, results, places) or explain.hang(job, places)
        if ended:
            log = (ranks.directory / "log").read_text(errors="replace").strip()
            if not any(states):
                raise LaunchError(f"the ranks did not start: {log or 'no message'}")
            return explain.died(job, places, log)
        if time.monotonic() > ranks.end:
            return explain.error(job, results, places) or explain.late(job, places)
        time.sleep(POLL)
    return explain.error(job, results, explain.places(index, results, results))


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a file that a rank wrote; empty if it has not yet."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return content


def _run(directory: Path, index: int, job: Job) -> Run:
    stems = [directory / f"{index}-{rank}" for rank in range(job.ranks)]
    outputs = [stem.with_suffix(".out").read_text(errors="replace") for stem in stems]
    values = [_read(stem.with_suffix(".json"))["values"] for stem in stems]
    return Run(job, tuple(outputs), tuple(values))
