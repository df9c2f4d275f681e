"""Rendered scripts as bash runs them, with stubs of launcher and Python."""

import json
import subprocess

from tests.commands import clean_environment

SUBMIT = {"slurm": "sbatch", "sge": "qsub", "pbs": "qsub", "lsf": "bsub <"}
# What a scheduler sets for the script of job 7.
VARIABLES = {
    "slurm": {"SLURM_JOB_ID": "7", "SLURM_SUBMIT_DIR": "."},
    "sge": {"JOB_ID": "7", "SGE_TASK_ID": "undefined", "SGE_O_WORKDIR": "."},
    "pbs": {"PBS_JOBID": "7.server", "PBS_O_WORKDIR": "."},
    "lsf": {
        "LSB_JOBID": "7",
        "LSB_JOBINDEX": "0",
        "LS_SUBCWD": ".",
        "LSB_MCPU_HOSTS": "n1 1",
    },
}
# In place of mpiexec and Python: writes its arguments to a file, then runs commands.
STUB = """#!/bin/bash
printf '%s\\0' "$@" >"$ARGUMENTS"
{ACT}
"""


def run_script(place, text, act="exit 0", scheduler="slurm", **variables):
    """Run a script with a stub as its launcher; return the process that ended."""
    stub(place / ".venv" / "bin" / "mpiexec", act)
    stub(place / ".venv" / "bin" / "python", "exit 0")
    start = begin(place, text, scheduler, variables)
    out, err = start.communicate(timeout=60)
    return subprocess.CompletedProcess([], start.returncode, out, err)


def stub(path, act):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STUB.format(ACT=act))
    path.chmod(0o755)
    return path


def begin(place, text, scheduler, variables):
    (place / "job.sh").write_text(text)
    return subprocess.Popen(
        ["bash", "job.sh"],
        cwd=place,
        env=clean_environment(
            **VARIABLES[scheduler], ARGUMENTS=str(place / "arguments"), **variables
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,  # as a scheduler starts it
    )


def launcher_arguments(place):
    return (place / "arguments").read_text().split("\0")[:-1]


def events(place, run="pi-job7"):
    path = place / "logs" / run / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


FINISH = (
    """echo '{{"exit_code": {code}, "finished": true}}' >"$MPIAPPS_RECORD"; exit {rc}"""
)
SAVE = """echo '{{"stopped": {attempt}}}' >"$MPIAPPS_CHECKPOINT"; exit {rc}"""
