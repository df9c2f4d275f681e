"""Runs of a study on this machine, by mpiexec."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpiapps.app.record import RECORD_VARIABLE
from mpiapps.base.errors import InputError, TasksFailed, os_errors
from mpiapps.base.launch_environment import without_rank_variables
from mpiapps.base.threads import THREAD_VARIABLES
from mpiapps.launch.children import Children
from mpiapps.launch.mpiexec import Mpiexec, command_line
from mpiapps.scaling.measurement import Measurement, from_records
from mpiapps.scaling.study import Case, Study

LAST_LINES = 20  # of the output of a failed run, in its error; mpiexec adds its own


@dataclass(frozen=True)
class Process:
    """One mpiexec of a run, with the files it writes."""

    process: subprocess.Popen[bytes]
    output: Path
    record: Path


def run_case(
    launcher: Mpiexec, study: Study, case: Case, repeat: int, directory: Path
) -> Measurement:
    """Run a case once, to its end, and return what it gave.

    Parameters
    ----------
    launcher : Mpiexec
    study : Study
    case : Case
    repeat : int
    directory : Path
        Gets the output and the records of the run.

    Raises
    ------
    TasksFailed
        If the program fails, or leaves no finished record.
    """
    start = time.perf_counter()
    with Children() as children:
        processes = []
        for copy in range(case.copies):
            name = f"{case.label} {repeat}-{copy}".replace(" ", "_")
            path = directory / name
            processes.append(_start(children, launcher, study, case, path))
        memory = [_wait(one, case) for one in processes]
    elapsed = time.perf_counter() - start
    if not study.recorded:
        return Measurement(case, repeat, elapsed, elapsed, memory=tuple(memory))
    records = [read_record(one.record, case) for one in processes]
    return from_records(
        case, repeat, records, elapsed, region=study.region, useful=study.useful
    )


def _start(
    children: Children, launcher: Mpiexec, study: Study, case: Case, path: Path
) -> Process:
    """Start one mpiexec."""
    words = [*study.words, *study.arguments_of(case)]
    command, variables = command_line(
        launcher,
        case.ranks,
        words,
        is_python=study.is_python,
        unbound=case.threads > 1 or case.copies > 1,
    )
    record = path.with_suffix(".json")
    record.unlink(missing_ok=True)
    output = path.with_suffix(".log")
    with os_errors(output, "write"), output.open("wb") as stream:
        stream.write(f"$ {shlex.join(command)}\n".encode())
        stream.flush()
        env = environment(case, variables) | {RECORD_VARIABLE: str(record)}
        process = children.start(command, stream, env)
    return Process(process, output, record)


def environment(case: Case, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a run: threads, and nothing of the job around it."""
    inherited = without_rank_variables(os.environ)
    own = {k: v for k, v in inherited.items() if not k.startswith("MPIAPPS_")}
    threads = dict.fromkeys(THREAD_VARIABLES, str(case.threads))
    return own | dict(variables) | threads


def _wait(one: Process, case: Case) -> int:
    """Wait for a process; return the peak memory of its largest descendant, in bytes.

    Raises
    ------
    TasksFailed
        If it failed.
    """
    _, status, usage = os.wait4(one.process.pid, 0)
    code = one.process.returncode = os.waitstatus_to_exitcode(status)
    if code != 0:
        lines = one.output.read_text(errors="replace").splitlines()[-LAST_LINES:]
        raise TasksFailed(
            f"{case.label}: exit code {code}; the last lines of {one.output}:\n"
            + "\n".join(f"  {line}" for line in lines)
        )
    return int(usage.ru_maxrss) * 1024


def read_record(path: Path, case: Case) -> Mapping[str, Any]:
    """Return a finished record of a program that is done.

    Raises
    ------
    TasksFailed
        If there is none: exit code 0 of a launcher is not enough.
    InputError
        If it is of a version without timers of ranks.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        done = record["finished"] is True and record["exit_code"] == 0
    except (OSError, ValueError, KeyError, TypeError):
        done = False
    if not done:
        raise TasksFailed(
            f"{case.label}: the program left no finished record in {path}; see the"
            " log beside it"
        )
    if not all("timers" in row for row in record["usage"]["ranks"]):
        raise InputError(
            f"{path} has no times of ranks; run the program with this version"
        )
    loaded: Mapping[str, Any] = record
    return loaded
