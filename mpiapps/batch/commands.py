"""The batch commands: `mpiapps render`, `submit`, `status` ..."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
import sys
import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mpiapps.app.options import from_namespace
from mpiapps.app.program import find_program
from mpiapps.app.runner import parse as parse_program
from mpiapps.base.errors import LaunchError, UsageError
from mpiapps.base.launch_environment import LaunchEnvironment
from mpiapps.base.streams import write_err, write_out
from mpiapps.batch import job_state, quoting, runs, submission
from mpiapps.batch.client import run_checked
from mpiapps.batch.explain import explain as explain_lines
from mpiapps.batch.lint import lint as lint_script
from mpiapps.batch.probe import probe
from mpiapps.batch.render import render as render_script
from mpiapps.batch.request import Job, Parent, Request, resolve
from mpiapps.batch.run_status import APPEARS, Status
from mpiapps.batch.scheduler import TABLE
from mpiapps.batch.script import Script
from mpiapps.batch.site import find_site
from mpiapps.batch.status import statuses
from mpiapps.launch.mpi_wheels import only_mpi

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 30.0  # s between two questions to a scheduler


def job_of(values: Namespace, arguments: list[str]) -> Job:
    """Return the checked job of a command line."""
    request: Request = from_namespace(values, Request)
    site = find_site(request.site, request.scheduler)
    if not request.site:  # no file says which MPI: it is the one that is here
        request = replace(request, mpi=request.mpi or only_mpi())
    may_fail = request.after_any
    request, parents = _parents(request)
    if not site.python:
        request = replace(request, python=request.python or sys.executable)
    request = resolve(request, site, values.program)
    job = _job(request, site, values.program, arguments)
    return replace(job, parents=parents, parents_may_fail=may_fail)


def _parents(request: Request) -> tuple[Request, tuple[Parent, ...]]:
    """Return the request with the single jobs of ``--dependency``, and the runs.

    A job number stands for a run if that is its current job.
    """
    parents, numbers = [], []
    known = runs.all_runs(request.logs) if request.dependency else []
    for name in request.after_ids:
        if re.fullmatch(r"[A-Za-z].*-\w+", name):
            run = runs.find_run(request.logs, name)
        elif len(found := [run for run in known if run.id == name]) == 1:
            run = found[0]
        else:
            numbers.append(name)
            continue
        elements = f"{run.folder}" + _braces(run.indices)
        parents.append(Parent(str(run.folder), elements))
    kind = "any:" if request.after_any and numbers else ""
    return replace(request, dependency=kind + ",".join(numbers)), tuple(parents)


def _braces(indices: list[str]) -> str:
    """Return the brace expansion of the suffixes of the elements' folders."""
    if len(indices) < 2:
        return "".join(f"_{index}" for index in indices)
    return f"_{{{','.join(indices)}}}"


def _job(request: Request, site: Any, program: str, arguments: list[str]) -> Job:
    """Return the job; check the program's arguments on this host."""
    found, launch = find_program(program)
    if found is None:
        return Job(request, site, (*launch, *arguments), recorded=False)
    sample = str(request.indices()[0]) if request.array else quoting.INDEX
    tried = [each.replace(quoting.INDEX, sample) for each in arguments]
    parse_program(found, tried, LaunchEnvironment(), command=launch)
    return Job(request, site, (*launch, *arguments))


def render(values: Namespace, arguments: list[str]) -> int:
    """Print the script."""
    script = render_script(job_of(values, arguments), standalone=values.standalone)
    _print(values, {"script": script}, script)
    return 0


def submit(values: Namespace, arguments: list[str]) -> int:
    """Submit the job; return 0, or with ``--wait`` the job's exit code."""
    job = job_of(values, arguments)
    script = render_script(job)
    if values.dry_run:
        return _dry_run(values, job, script)
    run = submission.submit(script, job.request.name, job.request.logs)
    _print(values, {"id": run.id, "run": str(run.folder)}, f"{run.name}\n")
    return _wait(values, [run]) if values.wait else 0


def _dry_run(values: Namespace, job: Job, script: str) -> int:
    """Let the scheduler check the script, if it can; submit nothing."""
    scheduler = TABLE[job.request.scheduler]
    is_array = bool(job.request.array)
    shown = job_state.Submission(
        "SCRIPT", ["MPIAPPS_RUN=RUN"], f"{job.request.logs}/RUN", is_array
    )
    command = shlex.join(scheduler.submission(shown))
    said = ""
    if scheduler.check:
        with TemporaryDirectory() as place:
            path = Path(place) / "script.sh"
            path.write_text(script, encoding="utf-8")
            said = run_checked([*scheduler.check, str(path)])
    text = f"{script}\n# would run: {command}\n"
    _print(values, {"script": script, "command": command, "said": said}, text)
    return 0


def status(values: Namespace, _rest: list[str]) -> int:
    """Print the status of runs."""
    found = _runs(values) if values.runs else runs.all_runs(values.logs)
    each = statuses(found)
    rows = [_row(one) for one in each]
    header = ["RUN", "JOB", "STATE", "CODE", "REQUEUES", "WHY"]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in [header, *rows]
    ]
    text = "".join(f"{line.rstrip()}\n" for line in lines) if rows else "no runs\n"
    _print(values, [one.as_dict() for one in each], text)
    return 0


def _row(one: Status) -> list[str]:
    code = "" if one.code is None else str(one.code)
    name = Path(one.run).name
    return [name, one.id, one.state, code, str(one.requeues or ""), one.reason]


def wait(values: Namespace, _rest: list[str]) -> int:
    """Wait for runs to end; return the exit code of the first that is not done."""
    return _wait(values, _runs(values))


def _wait(values: Namespace, waited: list[runs.Run]) -> int:
    pause, start, silent = FIRST_PAUSE, time.monotonic(), ""
    while True:
        each = statuses(waited)
        unseen = time.monotonic() - start < APPEARS
        going = (
            *job_state.ACTIVE,
            *([job_state.UNKNOWN, job_state.LOST] if unseen else []),
        )
        mute = next((one for one in each if one.state == job_state.NO_ANSWER), None)
        if mute and mute.reason != silent:
            silent = mute.reason
            write_err(f"mpiapps: no answer, asking again: {silent}\n")
        if not mute and not any(one.state in going for one in each):
            break
        if mute and not any(shutil.which(run.scheduler.asks) for run in waited):
            raise LaunchError(f"cannot wait: {silent}")
        time.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 1.5)
    rows = [[cell for cell in _row(one) if cell] for one in each]
    text = "".join("  ".join(row) + "\n" for row in rows)
    _print(values, [one.as_dict() for one in each], text)
    bad = [one for one in each if one.state != job_state.DONE]
    return (bad[0].code or 1) if bad else 0


def cancel(values: Namespace, _rest: list[str]) -> int:
    """Cancel runs; those that have ended stay unchanged."""
    ended, lines = [], []
    for run in _runs(values):
        status = submission.cancel(run)
        if status.state == job_state.CANCELLED:
            ended.append(run.name)
        already = "" if status.state == job_state.CANCELLED else " already"
        lines.append(f"{run.name} {status.state}{already}\n")
    _print(values, ended, "".join(lines))
    return 0


def logs(values: Namespace, _rest: list[str]) -> int:
    """Print the output of the runs' jobs."""
    found = {}
    for run in _runs(values):
        for path in runs.outputs(run):
            found[str(path)] = path.read_text(encoding="utf-8", errors="replace")
    many = len(found) > 1
    text = "".join(f"==> {p} <==\n{t}" if many else t for p, t in found.items())
    _print(values, found, text)
    return 0


def resubmit(values: Namespace, _rest: list[str]) -> int:
    """Submit runs again, to resume from their checkpoints."""
    found = _runs(values)
    numbers = {run.name: submission.resubmit(run) for run in found}
    text = "".join(f"{name} goes on as job {n}\n" for name, n in numbers.items())
    _print(values, numbers, text)
    return _wait(values, found) if values.wait else 0


def explain(values: Namespace, _rest: list[str]) -> int:
    """Print the meaning of each directive of a script."""
    lines = explain_lines(_read(values.script))
    text = ""
    for number, group in itertools.groupby(lines, key=lambda line: line.number):
        options = list(group)
        text += f"{number:>4}  {options[0].text}\n"
        for each in options:
            named = f"{each.option}: " if len(options) > 1 else ""
            text += f"      {named}{each.meaning}\n"
    _print(values, [vars(each) for each in lines], text)
    return 0


def lint(values: Namespace, _rest: list[str]) -> int:
    """Print the problems of a script; return 1 if there are any."""
    site = find_site(values.site, "") if values.site else None
    most = (site.max_array if site else 0) or 1001
    found = lint_script(Script(_read(values.script), Path(), most))
    text = "".join(
        f"{values.script}:{each.line or ''}: {each.trap}: {each.text}; {each.remedy}\n"
        for each in found
    )
    _print(values, [vars(each) for each in found], text or "no trap found\n")
    return 1 if found else 0


def site(values: Namespace, _rest: list[str]) -> int:
    """Print a site file for the cluster of this login node."""
    found, doubts = probe(values.scheduler)
    text = "".join(f"# {doubt}\n" for doubt in doubts) + found.as_toml()
    _print(values, {"site": vars(found), "doubts": doubts}, text)
    return 0


def _runs(values: Namespace) -> list[runs.Run]:
    return [runs.find_run(values.logs, name) for name in values.runs]


def _read(name: str) -> str:
    try:
        if name == "-":
            return sys.stdin.buffer.read().decode("utf-8", errors="replace")
        # Line ends as they are: a carriage return is one of the traps.
        return Path(name).read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error


def _print(values: Namespace, data: Any, text: str) -> None:
    write_out(json.dumps(data) + "\n" if values.json else text)
