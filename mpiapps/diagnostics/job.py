"""`mpiapps doctor --job`: start the program `doctor` here, or submit it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from mpiapps.app.record import RECORD_VARIABLE
from mpiapps.base.errors import LaunchError
from mpiapps.base.streams import write_err, write_out
from mpiapps.batch import commands, runs, submission
from mpiapps.batch.render import render
from mpiapps.batch.scheduler import schedulers
from mpiapps.batch.waiting import wait_for
from mpiapps.diagnostics.job_report import as_text
from mpiapps.launch.mpiexec import command_line, find_launcher

LIMIT = 300.0  # s for the ranks on this host


def has_scheduler(values: Namespace) -> bool:
    """Return whether the job is to be submitted: not if ``-n`` is given."""
    if values.ntasks:
        return False
    detected = (shutil.which(row.detection_command) for row in schedulers())
    return bool(values.site or values.scheduler or any(detected))


def run_here(values: Namespace) -> int:
    """Start the ranks on this host; print their report, and return its exit code."""
    with tempfile.TemporaryDirectory() as directory:
        record = Path(directory) / "record.json"
        argv = ["-m", "mpiapps.doctor", "--json", str(record), "--progress", "off"]
        command, variables = command_line(find_launcher(), values.ntasks or 2, argv)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=_environment() | variables,
                timeout=LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LaunchError(
                f"the ranks have not ended within {LIMIT:g} s: MPI hangs here; try"
                f" {command[0]} -n 2 hostname, then the first lines of docs/doctor.md"
            ) from error
        if not record.exists():
            raise LaunchError(
                f"mpiexec has ended with code {done.returncode}, without a report:\n"
                f"{done.stderr.strip()[-2000:]}"
            )
        return show(record, as_json=values.json)


def _environment() -> dict[str, str]:
    """Return the environment without the record of an enclosing job."""
    return {k: v for k, v in os.environ.items() if k != RECORD_VARIABLE}


def submit(values: Namespace) -> int:
    """Submit the program as a job and wait; print its report, and return its code."""
    values.program = "doctor"
    job = commands.job_of(values, [])
    run = submission.submit(render(job), job.request.name, job.request.logs)
    write_err(f"mpiapps: {run.name} submitted; waiting for its end\n")
    ended = wait_for([run])[0]
    record = run.directory / "record.json"
    if not record.exists():
        output = "".join(path.read_text(errors="replace") for path in runs.outputs(run))
        raise LaunchError(
            f"{run.name}: {ended.state}, without a report:\n{output.strip()[-2000:]}"
        )
    return show(record, as_json=values.json)


def show(path: Path, *, as_json: bool) -> int:
    """Print a record; return its exit code."""
    content: dict[str, Any] = json.loads(path.read_text())
    text = (
        json.dumps(content, indent=1) + "\n" if as_json else as_text(content["values"])
    )
    write_out(text)
    return int(content["exit_code"])
