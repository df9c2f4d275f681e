"""The batch commands: `mpiapps render`, `submit`, `status` ..."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mpiapps.app.options import from_namespace
from mpiapps.app.program import find_program
from mpiapps.app.runner import parse as parse_program
from mpiapps.base.errors import UsageError
from mpiapps.base.launch_environment import LaunchEnvironment
from mpiapps.base.streams import write_err, write_out
from mpiapps.batch import job_state, quoting, runs, submission
from mpiapps.batch.explain import explain as explain_script
from mpiapps.batch.job_parts import Parent
from mpiapps.batch.lint import lint as lint_script
from mpiapps.batch.render import render as render_script
from mpiapps.batch.request import Job, Request, resolve
from mpiapps.batch.run_status import Status
from mpiapps.batch.scheduler import load_scheduler
from mpiapps.batch.site import Site
from mpiapps.batch.site_search import find_site, probe_site
from mpiapps.batch.staging import staged
from mpiapps.batch.status import statuses
from mpiapps.batch.waiting import wait_for
from mpiapps.launch.mpi_wheels import only_mpi


def job_of(values: Namespace, arguments: list[str]) -> Job:
    """Return the checked job of a command line."""
    request: Request = from_namespace(values, Request)
    site = find_site(request.site, request.scheduler)
    if not request.site:  # no site file names an MPI: use the one of this environment
        request = replace(request, mpi=request.mpi or only_mpi())
    may_fail = request.after_any
    request, parents = _parents(request)
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
        current = [run for run in known if run.id == name]
        if re.fullmatch(r"[A-Za-z].*-\w+", name):
            run = runs.find_run(request.logs, name)
        elif len(current) == 1:
            run = current[0]
        else:
            numbers.append(name)
            continue
        elements = f"{run.directory}" + _braces(run.indices)
        parents.append(Parent(str(run.directory), elements))
    kind = "any:" if request.after_any and numbers else ""
    return replace(request, dependency=kind + ",".join(numbers)), tuple(parents)


def _braces(indices: list[str]) -> str:
    """Return the brace expansion of the suffixes of the elements' directories."""
    if len(indices) < 2:
        return "".join(f"_{index}" for index in indices)
    return f"_{{{','.join(indices)}}}"


def _job(request: Request, site: Site, name: str, arguments: list[str]) -> Job:
    """Return the job; check the program's arguments on this host."""
    program, command = find_program(name)
    if program is None:
        return Job(request, site, (*command, *arguments), recorded=False)
    sample = str(request.indices()[0]) if request.array else quoting.INDEX
    sampled = [argument.replace(quoting.INDEX, sample) for argument in arguments]
    options, _ = parse_program(program, sampled, LaunchEnvironment(), command=command)
    if program.reads_stdin(options):
        raise UsageError(
            f"{name} would read standard input, which is empty in a job: write the"
            " input to a file, and give its name instead of -"
        )
    return Job(request, site, (*command, *arguments))


def render(values: Namespace, arguments: list[str]) -> int:
    """Print the script."""
    if values.stage:
        raise UsageError(
            "render --stage: the archives belong to a submission; `mpiapps submit"
            " --stage` packs them, with --dry-run it prints the script alone"
        )
    script = render_script(job_of(values, arguments), standalone=values.standalone)
    _print(values, {"script": script}, script)
    return 0


def submit(values: Namespace, arguments: list[str]) -> int:
    """Submit the job; return 0, or with ``--wait`` the job's exit code."""
    job = staged(job_of(values, arguments), pack=not values.dry_run)
    script = render_script(job)
    if values.dry_run:
        return _dry_run(values, job, script)
    run = submission.submit(script, job.request.name, job.request.logs)
    _print(values, {"id": run.id, "run": str(run.directory)}, f"{run.name}\n")
    return _wait(values, [run]) if values.wait else 0


def _dry_run(values: Namespace, job: Job, script: str) -> int:
    """Check the script by the scheduler, if it can; submit nothing."""
    scheduler = load_scheduler(job.request.scheduler)
    is_array = bool(job.request.array)
    example = job_state.Submission(
        "SCRIPT", ["MPIAPPS_RUN=RUN"], f"{job.request.logs}/RUN", is_array
    )
    command, output = shlex.join(scheduler.submission(example)), ""
    if scheduler.check_command:
        with TemporaryDirectory() as directory:
            path = Path(directory) / "script.sh"
            path.write_text(script, encoding="utf-8")
            output = scheduler.run([*scheduler.check_command, str(path)])
    text = f"{script}\n# would run: {command}\n"
    _print(values, {"script": script, "command": command, "said": output}, text)
    return 0


def status(values: Namespace, _rest: list[str]) -> int:
    """Print the status of runs."""
    selected = _runs(values) if values.runs else runs.all_runs(values.logs)
    current = statuses(selected)
    rows = [_row(one) for one in current]
    header = ["RUN", "JOB", "STATE", "CODE", "REQUEUES", "WHY"]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in [header, *rows]
    ]
    text = "".join(f"{line.rstrip()}\n" for line in lines) if rows else "no runs\n"
    if values.runs:
        text += "".join(_usage(one) for one in current)
    _print(values, [one.as_dict() for one in current], text)
    return 0


def _usage(status: Status) -> str:
    """Return a line per finished run or element with what it has used."""
    several = [status, *status.elements.values()]
    return "".join(f"{Path(s.run).name}: {s.usage}\n" for s in several if s.usage)


def _row(status: Status) -> list[str]:
    code = "" if status.code is None else str(status.code)
    requeues = str(status.requeues or "")
    name = Path(status.run).name
    return [name, status.id, status.state, code, requeues, status.reason]


def wait(values: Namespace, _rest: list[str]) -> int:
    """Wait for runs to end; return the exit code of the first that is not done."""
    return _wait(values, _runs(values))


def _wait(values: Namespace, selected: list[runs.Run]) -> int:
    current = wait_for(selected)
    rows = [[cell for cell in _row(one) if cell] for one in current]
    text = "".join("  ".join(row) + "\n" for row in rows)
    _print(values, [one.as_dict() for one in current], text)
    failed = [one for one in current if one.state != job_state.DONE]
    return (failed[0].code or 1) if failed else 0


def cancel(values: Namespace, _rest: list[str]) -> int:
    """Cancel runs; those that have ended stay unchanged."""
    cancelled, lines = [], []
    for run in _runs(values):
        status = submission.cancel(run)
        if status.state == job_state.CANCELLED:
            cancelled.append(run.name)
        already = "" if status.state == job_state.CANCELLED else " already"
        lines.append(f"{run.name} {status.state}{already}\n")
    _print(values, cancelled, "".join(lines))
    return 0


def logs(values: Namespace, _rest: list[str]) -> int:
    """Print the output of the runs' jobs."""
    texts = {}
    for run in _runs(values):
        for path in runs.outputs(run):
            texts[str(path)] = path.read_text(encoding="utf-8", errors="replace")
    several = len(texts) > 1
    text = "".join(f"==> {p} <==\n{t}" if several else t for p, t in texts.items())
    _print(values, texts, text)
    return 0


def resubmit(values: Namespace, _rest: list[str]) -> int:
    """Submit runs again, to resume from their checkpoints."""
    selected = _runs(values)
    if ending := [run for run in selected if submission.is_ending(run)]:
        names = ", ".join(run.name for run in ending)
        write_err(f"mpiapps: waiting for the end of the cancelled {names}\n")
        wait_for(ending)
    numbers = {run.name: submission.resubmit(run) for run in selected}
    text = "".join(f"{name} continues as job {n}\n" for name, n in numbers.items())
    _print(values, numbers, text)
    return _wait(values, selected) if values.wait else 0


def explain(values: Namespace, _rest: list[str]) -> int:
    """Print the meaning of each directive of a script."""
    lines = explain_script(_read(values.script))
    text = ""
    for number, group in itertools.groupby(lines, key=lambda line: line.number):
        options = list(group)
        text += f"{number:>4}  {options[0].text}\n"
        for line in options:
            name = f"{line.option}: " if len(options) > 1 else ""
            text += f"      {name}{line.meaning}\n"
    _print(values, [vars(line) for line in lines], text)
    return 0


def lint(values: Namespace, _rest: list[str]) -> int:
    """Print the problems of a script; return 1 if there are any."""
    site = find_site(values.site, "") if values.site else None
    max_array = (site.max_array if site else 0) or 1001
    findings = lint_script(_read(values.script), max_array=max_array)
    text = "".join(
        f"{values.script}:{f'{one.line}:' if one.line else ''} {one.rule}: {one.text};"
        f" {one.remedy}\n"
        for one in findings
    )
    _print(values, [vars(one) for one in findings], text or "no problems\n")
    return 1 if findings else 0


def site(values: Namespace, _rest: list[str]) -> int:
    """Print a site file for the cluster of this login node."""
    site, by_hand = probe_site(values.scheduler)
    text = "".join(f"# {note}\n" for note in by_hand) + site.as_toml()
    _print(values, {"site": vars(site), "doubts": by_hand}, text)
    return 0


def _runs(values: Namespace) -> list[runs.Run]:
    return [runs.find_run(values.logs, name) for name in values.runs]


def _read(name: str) -> str:
    try:
        if name == "-":
            return sys.stdin.buffer.read().decode("utf-8", errors="replace")
        # Unchanged line ends: a carriage return is a finding of lint.
        return Path(name).read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error


def _print(values: Namespace, data: Any, text: str) -> None:
    write_out(json.dumps(data) + "\n" if values.json else text)
