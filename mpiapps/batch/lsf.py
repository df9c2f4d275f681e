"""LSF."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mpiapps.batch import job_state, lsf_options
from mpiapps.batch.client import CommandError
from mpiapps.batch.job_state import Answers, JobStatus, Submission, element
from mpiapps.batch.launchers import LaunchCommand
from mpiapps.batch.quoting import format_indices
from mpiapps.batch.request import Job
from mpiapps.batch.rule_types import isolated_gpus
from mpiapps.batch.scheduler import Scheduler

STATES = {
    **dict.fromkeys(("PEND", "WAIT", "PSUSP", "PROV"), job_state.PENDING),
    **dict.fromkeys(("RUN", "USUSP", "SSUSP"), job_state.RUNNING),
    "DONE": job_state.DONE,
    "EXIT": job_state.FAILED,
}
# First word of bjobs' exit_reason -> state.
REASONS = {
    "TERM_RUNLIMIT": job_state.TIMED_OUT,
    "TERM_DEADLINE": job_state.TIMED_OUT,
    "TERM_MEMLIMIT": job_state.OUT_OF_MEMORY,
    "TERM_OWNER": job_state.CANCELLED,
    "TERM_ADMIN": job_state.CANCELLED,
}
# Wheels of Open MPI do not support LSF: they need a host file, and blaunch in place of
# ssh, which does not pass the environment of the script to the ranks.
LAUNCH_ADDITIONS = {
    ("mpiexec", "openmpi"): LaunchCommand(
        '--hostfile "$run/hosts" --prtemca plm_ssh_agent blaunch',
        (
            "export PRTE_MCA_prte_fwd_environment=1",
            "# shellcheck disable=SC2086 # host, slots, host, slots",
            "printf '%s slots=%s\\n' $LSB_MCPU_HOSTS >\"$run/hosts\"",
        ),
    )
}


class Lsf(Scheduler):
    """LSF."""

    syntax = lsf_options.SYNTAX
    lowerings = lsf_options.LOWERINGS
    library = Path(__file__).parent / "library" / "lsf.sh"
    detection_command = "bsub"
    query_command = "bjobs"
    cancel_command = ("bkill",)
    submit_directory = "LS_SUBCWD"
    job_pattern = r"Job <(?P<number>\d+)>"
    array = r"^#BSUB -J \"[^\"]*\[([0-9:,-]+)\]"
    counts_from_1 = True
    uneven_hosts = True
    starts_mps = True
    lint_rules = (isolated_gpus("lsf", "-gpu", r".*/task.*", "use num=N/host"),)
    output = r"({name}-)?{number}(_\d+)?\.out"
    reads_stdin = True
    launch_additions = LAUNCH_ADDITIONS

    def directives(self, job: Job) -> list[str]:
        """Return the options of bsub."""
        request = job.request
        token = "%J_%I" if request.array else "%J"
        lines = [
            f"-J {_name(job)}",
            f"-n {request.ntasks}",
            f'-R "{lsf_options.shape(job)}"',
            f"-W {clock(request.time)}",
            f"-o {request.logs}/{request.name}-{token}.out",
            "-r",
            "-Q 99",
            "-env none",
        ]
        if request.dependency:
            kind = "ended" if request.after_any else "done"
            terms = " && ".join(f"{kind}({number})" for number in request.after_ids)
            lines += [f'-w "{terms}"']
        return [*lines, *self.lowered(job), *job.directives]

    def submission(self, job: Submission) -> list[str]:
        """Return the command that submits a script."""
        token = "%J_%I" if job.is_array else "%J"
        condition = " && ".join(f"ended({number})" for number in job.waits)
        return [
            *("bsub", "-env", ",".join(["none", *job.variables])),
            *("-o", f"{job.directory}/{token}.out"),
            *(["-w", condition] if condition else []),
            job.script,
        ]

    def cluster(self) -> str:
        """Return the name of the cluster."""
        output = self.try_run(["lsid"])
        match = re.search(r"My cluster name is (\S+)", output)
        return match[1] if match else ""

    def job_statuses(self, numbers: Sequence[str], _cluster: str, /) -> Answers:
        """Return the statuses of the jobs, ended ones included."""
        fields = "jobid jobindex stat exit_code exit_reason pend_reason"
        command = ["bjobs", "-a", "-json", "-o", fields, *numbers]
        output = self.run(command, "is not found")
        try:
            rows = json.loads(output or "{}").get("RECORDS", [])
        except ValueError as error:
            raise CommandError(
                f"bjobs printed no JSON: {output[:80].strip()}"
            ) from error
        statuses = {}
        for row in rows:
            number, index = row.get("JOBID", ""), row.get("JOBINDEX", "0") or "0"
            if "ERROR" not in row:
                key = number if index == "0" else element(number, index)
                statuses[key] = _status(row)
        return statuses

    def site_settings(self) -> tuple[dict[str, Any], list[str]]:
        """Return settings from the parameters of the batch system."""
        output = self.run(["bparams", "-a"])
        values: dict[str, Any] = {}
        if limit := re.search(r"MAX_JOB_ARRAY_SIZE *= *(\d+)", output):
            values["max_array"] = int(limit[1])
        if queue := re.search(r"DEFAULT_QUEUE *= *(\S+)", output):
            values["queue"] = queue[1]
        return values, ["memory: scripts use the unit MB; LSF must accept it"]


def clock(seconds: int) -> str:
    """Return a limit as H:MM, in full minutes as LSF counts."""
    minutes = -(-seconds // 60)
    return f"{minutes // 60}:{minutes % 60:02d}"


def _name(job: Job) -> str:
    request, indices = job.request, job.request.indices()
    if not indices:
        return request.name
    limit = f"%{request.array_parallelism}" if request.array_parallelism else ""
    return f'"{request.name}[{format_indices(indices)}]{limit}"'


def _status(row: dict[str, str]) -> JobStatus:
    state = STATES.get(row.get("STAT", ""), job_state.UNKNOWN)
    reason = row.get("PEND_REASON" if state == job_state.PENDING else "EXIT_REASON", "")
    reason = " ".join(reason.split())
    code = int(row["EXIT_CODE"]) if row.get("EXIT_CODE", "").isdigit() else None
    if state == job_state.FAILED:
        state = REASONS.get(reason.split(":")[0], job_state.FAILED)
    return JobStatus(state, 0 if state == job_state.DONE else code, reason)
