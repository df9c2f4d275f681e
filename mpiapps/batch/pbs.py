"""PBS Pro and OpenPBS."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mpiapps.base.errors import UsageError
from mpiapps.batch import job_state, pbs_options, rule_types
from mpiapps.batch.client import CommandError
from mpiapps.batch.job_state import Answers, JobStatus, Submission, element
from mpiapps.batch.launchers import LaunchCommand
from mpiapps.batch.parsed_script import Script
from mpiapps.batch.quoting import format_indices
from mpiapps.batch.request import Job
from mpiapps.batch.rule_types import Problems, Rule
from mpiapps.batch.scheduler import Scheduler

STATES = {
    **dict.fromkeys("QHWTM", job_state.PENDING),
    **dict.fromkeys("RBESU", job_state.RUNNING),
    **dict.fromkeys("FX", job_state.DONE),
}
# Exit status of a job over its time limit (pbs_error: JOB_EXEC_*); for a job that a
# signal has ended, the number of the signal is added to SIGNALLED.
KILLED_WALLTIME = -29
SIGNALLED = 256
# Over ssh, ranks of Open MPI would not get the environment of the script.
LAUNCH_ADDITIONS = {
    ("mpiexec", "openmpi"): LaunchCommand(
        before=("export PRTE_MCA_prte_fwd_environment=1",)
    ),
    ("mpiexec", "mpich"): LaunchCommand(
        before=('export HYDRA_HOST_FILE="$run/hosts"  # of job_run: each host once',)
    ),
}
CHUNKS = "write select=N:ncpus=C:mpiprocs=R"
NO_RANKS = (
    r"(?!.*mpiprocs).*",
    "select without mpiprocs: PBS_NODEFILE has one line per chunk",
)


@rule_types.rule("pbs-chunks", CHUNKS)
def _two_requests(script: Script) -> Problems:
    if script.options("pbs", "-l select"):
        for directive in script.options("pbs", "-l nodes"):
            yield directive.line, "nodes= together with select="


@rule_types.rule("pbs-directory", 'begin with cd "$PBS_O_WORKDIR"')
def _home_directory(script: Script) -> Problems:
    if script.directives["pbs"] and "PBS_O_WORKDIR" not in script.text:
        yield 0, "the job starts in the home directory, not where it was submitted"


@rule_types.rule("array-limit", "submit it without -J")
def _one_element(script: Script) -> Problems:
    for directive in script.options("pbs", "-J"):
        bounds = re.match(r"(\d+)-(\d+)", directive.value)
        if bounds and int(bounds[1]) >= int(bounds[2]):
            yield directive.line, "PBS has no array of one element"


class Pbs(Scheduler):
    """PBS Pro and OpenPBS."""

    syntax = pbs_options.SYNTAX
    lowerings = pbs_options.LOWERINGS
    lint_rules = (
        _two_requests,
        _home_directory,
        _one_element,
        Rule("pbs-chunks", CHUNKS, rule_types.values("pbs", "-l select", *NO_RANKS)),
        rule_types.short_time("pbs", syntax.time),
        rule_types.whole_environment("pbs", "-V"),
    )
    library = Path(__file__).parent / "library" / "pbs.sh"
    detection_command = "pbsnodes"
    query_command = "qstat"
    cancel_command = ("qdel",)
    submit_directory = "PBS_O_WORKDIR"
    job_pattern = r"^(?P<number>\d+(\[\])?\.?\S*)$"  # 12.server, or 12[].server
    array = r"^#PBS -J ([0-9:-]+)"
    one_range = True
    uneven_hosts = True
    output = r"{number}(\[\d+\])?\.\S*OU|{name}\.o{number}(\.\d+)?"
    launch_additions = LAUNCH_ADDITIONS

    def directives(self, job: Job) -> list[str]:
        """Return the options of qsub."""
        request = job.request
        placement = "scatter" if request.shape.hosts else "free"
        placement += ":exclhost" if request.exclusive else ""
        lines = [
            "-S /bin/bash",
            f"-N {request.name}",
            f"-l select={pbs_options.chunks(job)}",
            f"-l place={placement}",
            f"-l walltime={clock(request.time)}",
            "-j oe",
            f"-o {request.logs}/",
            "-r y",
        ]
        lines += [_array(job)] if request.array else []
        if request.dependency:
            kind = "afterany" if request.after_any else "afterok"
            lines += [f"-W depend={kind}:{':'.join(request.after_ids)}"]
        return [*lines, *self.lowered(job), *job.directives]

    def submission(self, job: Submission) -> list[str]:
        """Return the command that submits a script."""
        dependency = f"depend=afterany:{':'.join(job.waits)}"
        return [
            *("qsub", "-v", ",".join(job.variables), "-o", f"{job.directory}/"),
            *(["-W", dependency] if job.waits else []),
            job.script,
        ]

    def job_statuses(self, numbers: Sequence[str], _cluster: str, /) -> Answers:
        """Return the statuses of the servers, whose history has ended jobs too."""
        command = ["qstat", "-f", "-t", "-F", "json"]
        try:
            output = self.run([*command, "-x", *numbers], "Unknown Job Id")
        except CommandError as error:
            if "job_history_enable" not in str(error):
                raise
            accepted = "Unknown Job Id|has finished"
            output = self.run([*command, *numbers], accepted)
        try:
            jobs = json.loads(output or "{}", strict=False).get("Jobs", {})
        except ValueError as error:
            raise CommandError(
                f"qstat printed no JSON: {output[:80].strip()}"
            ) from error
        statuses = {}
        for name, job in jobs.items():
            part = re.fullmatch(r"(\d+)\[(\d+)\](.*)", name)
            key = element(f"{part[1]}[]{part[3]}", part[2]) if part else name
            statuses[key] = _status(job)
        return statuses

    def site_settings(self) -> tuple[dict[str, Any], list[str]]:
        """Return settings from the attributes of the server."""
        output = self.run(["qstat", "-Bf"])
        config = dict(re.findall(r"^ +(\w+) = (.*?) *$", output, re.MULTILINE))
        values: dict[str, Any] = {"max_array": int(config.get("max_array_size", "0"))}
        if "default_queue" in config:
            values["queue"] = config["default_queue"]
        return values, ["account: the server does not show it; set it if needed"]


def clock(seconds: int) -> str:
    """Return a limit as HH:MM:SS."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _array(job: Job) -> str:
    indices, limit = job.request.indices(), job.request.array_parallelism
    if len(indices) == 1:
        raise UsageError(
            f"--array {job.request.array}: PBS has no array of one element; submit it"
            " without --array"
        )
    return f"-J {format_indices(indices)}" + (f"%{limit}" if limit else "")


def _status(job: dict[str, object]) -> JobStatus:
    state = STATES.get(str(job.get("job_state")), job_state.UNKNOWN)
    code, reason = job.get("Exit_status"), str(job.get("comment", ""))
    if state != job_state.DONE:
        return JobStatus(state, None, reason)
    if not isinstance(code, int):
        # Ended before its start; an element (X) may have run, but its end is unknown.
        is_element = job.get("job_state") == "X"
        return JobStatus(
            job_state.UNKNOWN if is_element else job_state.CANCELLED, None, reason
        )
    if code == KILLED_WALLTIME or ("walltime" in reason and code != 0):
        return JobStatus(job_state.TIMED_OUT, code & 0xFF, reason)
    code = 128 + code - SIGNALLED if code > SIGNALLED else code & 0xFF
    return JobStatus(job_state.DONE if code == 0 else job_state.FAILED, code, reason)
