"""The lines of a job script that set up modules, Python, container and data."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from mpiapps.base.errors import UsageError
from mpiapps.batch import quoting
from mpiapps.batch.request import Job

MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/@:=~-]*")
# Shell hook of each program that activates conda environments.
HOOKS = {"conda": "shell.bash hook", "micromamba": "shell hook --shell bash"}


def setup_lines(job: Job) -> list[str]:
    """Return the lines before the variables of the job; they may read unset ones.

    Raises
    ------
    UsageError
        If the name of a module has characters of the shell.
    """
    request = job.request
    lines = list(job.site.setup)
    if job.modules:
        expected = "use letters, digits and _ . + / @ : = ~ - only"
        for name in job.modules:
            quoting.check_pattern(MODULE, name, "module", expected)
        load = f"module load {' '.join(job.modules)}"
        lines += ["job_define_module", _checked(load)]
    if request.setup:
        lines.append(_checked(f". {quoting.quote(_path(request.setup))}"))
    if request.conda:
        lines += _conda_lines(request.conda)
    if request.venv:
        script = f"{_path(request.venv).rstrip('/')}/bin/activate"
        lines.append(_checked(f". {quoting.quote(script)}"))
    if request.container:
        lines += _container_lines(job)
    return lines


def before_run_lines(job: Job) -> list[str]:
    """Return the lines that run commands before the ranks, each checked.

    Raises
    ------
    UsageError
        If a command is not complete, such as one with an open quote.
    """
    lines: list[str] = []
    for command in job.before_run:
        _check_syntax(command)
        lines += ["{", command, f"}} || job_fail {quoting.quote(command)}"]
    return lines


def host_mpiexec(job: Job) -> str:
    """Return the mpiexec that starts a container; empty without a container.

    It is that of the modules or of the file in ``--setup`` if the job has any, else the
    one of this environment.
    """
    request = job.request
    if not request.container:
        return ""
    own = Path(sys.executable).parent / "mpiexec"
    from_setup = job.modules or job.site.setup or request.setup
    return "mpiexec" if from_setup or not own.is_file() else str(own)


def _checked(command: str) -> str:
    return f"{command} || job_fail {quoting.quote(command)}"


def _path(path: str) -> str:
    """Return a path that the shell does not search in PATH."""
    return path if "/" in path else f"./{path}"


def conda_program() -> str:
    """Return conda or micromamba of this host, else the name that a job has on PATH."""
    candidates = [os.environ.get(name, "") for name in ("CONDA_EXE", "MAMBA_EXE")]
    candidates += [shutil.which(name) or "" for name in HOOKS]
    names = (path for path in candidates if Path(path).name in HOOKS)
    return next(names, "conda")  # by a module of the job, for example


def _conda_lines(environment: str) -> list[str]:
    """Return the lines that activate an environment by the conda of this host."""
    program = conda_program()
    kind = Path(program).name
    activate = f"{kind} activate {shlex.quote(environment)}"
    return [
        f'eval "$({shlex.quote(program)} {HOOKS[kind]})"',
        _checked(activate),
        "python=$(command -v python)",
    ]


def _container_lines(job: Job) -> list[str]:
    request = job.request
    image = request.container
    lines = []
    if "://" not in image:
        image = _path(image)
        lines.append(
            f"[ -r {quoting.quote(image)} ] || job_fail"
            f" {quoting.quote(f'reading the container {image}')}"
        )
    binds = "".join(
        f" --bind {shlex.quote(b)}" for b in (*job.site.binds, *request.bind)
    )
    gpus = " --nv" if request.gpus else ""  # driver and device files of the host
    return [
        *lines,
        "runtime=$(command -v apptainer || command -v singularity) ||"
        " job_fail 'finding apptainer or singularity'",
        f'container=("$runtime" exec{gpus} --bind "$PWD"{binds}'
        f" {quoting.quote(image)})",
    ]


def _check_syntax(command: str) -> None:
    bash = shutil.which("bash")
    if not bash:
        return  # the job reports it
    text = f"{{\n{command}\n}}\n"
    ended = subprocess.run(
        [bash, "-n"], input=text, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise UsageError(
            f"--before-run {quoting.printable(command)}: bash cannot parse it; write a"
            f" complete command: {ended.stderr.strip().splitlines()[0]}"
        )
