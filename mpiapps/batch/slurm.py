"""Slurm."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mpiapps.batch import job_state, slurm_options, slurm_rules
from mpiapps.batch.client import CommandError
from mpiapps.batch.job_state import (
    Answers,
    JobStatus,
    Submission,
    element,
    indices,
)
from mpiapps.batch.quoting import format_indices
from mpiapps.batch.request import Job
from mpiapps.batch.scheduler import Scheduler

# As `squeue --helpstate` of 22.05, 24.11 and 26.05 lists them; EXPEDITING is of 25.11.
WAITING = (
    "CONFIGURING EXPEDITING REQUEUED REQUEUE_FED REQUEUE_HOLD RESV_DEL_HOLD"
    " SPECIAL_EXIT"
)
ACTIVE = "COMPLETING RESIZING SIGNALING STAGE_OUT SUSPENDED STOPPED"
STATES = {
    **dict.fromkeys(("PENDING", *WAITING.split()), job_state.PENDING),
    **dict.fromkeys(("RUNNING", *ACTIVE.split()), job_state.RUNNING),
    "COMPLETED": job_state.DONE,
    **dict.fromkeys(("FAILED", "NODE_FAIL", "BOOT_FAIL", "REVOKED"), job_state.FAILED),
    **dict.fromkeys(("TIMEOUT", "DEADLINE"), job_state.TIMED_OUT),
    "OUT_OF_MEMORY": job_state.OUT_OF_MEMORY,
    "PREEMPTED": job_state.PREEMPTED,
    "CANCELLED": job_state.CANCELLED,
}
# Plugins of srun that the launchers use; Debian's Slurm 26.05 has none for PMIx.
PLUGINS = {"pmix": "Open MPI", "pmi2": "MPICH"}
FIELDS = ("ArrayJobID", "ArrayTaskID", "State", "exit_code", "Reason")  # of squeue


class Slurm(Scheduler):
    """Slurm."""

    syntax = slurm_options.SYNTAX
    lowerings = slurm_options.LOWERINGS
    lint_rules = slurm_rules.RULES
    library = Path(__file__).parent / "library" / "slurm.sh"
    detection_command = "sbatch"
    query_command = "squeue"
    cancel_command = ("scancel",)
    check_command = ("sbatch", "--test-only")
    submit_directory = "SLURM_SUBMIT_DIR"
    job_pattern = r"^(?P<number>\d+)(;(?P<cluster>\S*))?$"  # 12, or 12;cluster
    array = r"^#SBATCH --array=([0-9:,-]+)"
    limits_index = True
    uneven_hosts = True
    output = r"{name}-{number}(_\d+)?\.out"
    cluster_option = "--clusters"
    overrides = "SBATCH_|SLURM_(?!CONF$)|SQUEUE_|SACCT_"

    def directives(self, job: Job) -> list[str]:
        """Return the options of sbatch."""
        request = job.request
        output = "%x-%A_%a.out" if request.array else "%x-%j.out"
        lines = [
            f"--job-name={request.name}",
            *slurm_options.shape(job),
            "--hint=nomultithread",  # whole cores, where CPUs are hardware threads
            f"--time={clock(request.time)}",
            f"--signal=B:USR1@{request.stop_margin}",
            f"--output={request.logs}/{output}",
            "--open-mode=append",
            "--requeue",
            "--export=NONE",
        ]
        lines += slurm_options.memory(job)
        if request.array:
            limit = request.array_parallelism
            array = format_indices(request.indices()) + (f"%{limit}" if limit else "")
            lines += [f"--array={array}"]
        if request.dependency:
            kind = "afterany" if request.after_any else "afterok"
            lines += [f"--dependency={kind}:{':'.join(request.after_ids)}"]
            lines += ["--kill-on-invalid-dep=yes"]
        return [*lines, *self.lowered(job), *job.directives]

    def submission(self, job: Submission) -> list[str]:
        """Return the command that submits a script."""
        output = "%x-%A_%a.out" if job.is_array else "%x-%j.out"
        dependency = f"--dependency=afterany:{':'.join(job.waits)}"
        return [
            *("sbatch", "--parsable", f"--export={','.join(job.variables)}"),
            f"--output={job.directory}/{output}",
            *([dependency] if job.waits else []),
            job.script,
        ]

    def cluster(self) -> str:
        """Return the name of the cluster."""
        config = self.try_run(["scontrol", "show", "config"])
        match = re.search(r"^ClusterName *= (\S+)", config, re.MULTILINE)
        return match[1] if match else ""

    def job_statuses(self, numbers: Sequence[str], cluster: str, /) -> Answers:
        """Return the statuses of the controller, and of accounting for older jobs.

        Without accounting, the controller must know all of them.
        """
        jobs, statuses = ",".join(numbers), dict[str, JobStatus]()
        layout = ",".join(f"{name}:|" for name in FIELDS)
        command = [
            "squeue",
            *self.cluster_words(cluster),
            "-h",
            "-a",
            "-r",
            "-t",
            "all",
        ]
        output = self.run([*command, "-j", jobs, "-O", layout], "Invalid job id")
        for line in output.splitlines():
            number, index, *rest = (line + "|" * len(FIELDS)).split("|")
            if number.isdigit():
                key = element(number, index) if index.isdigit() else number
                statuses[key] = _controller_status(*rest[:3])
        try:
            return self._accounted(jobs, cluster) | statuses
        except CommandError:
            if set(numbers) - {key.partition("_")[0] for key in statuses}:
                raise
            return statuses

    def _accounted(self, jobs: str, cluster: str) -> dict[str, JobStatus]:
        """Return the statuses of accounting; empty where there is none."""
        statuses: dict[str, JobStatus] = {}
        if not shutil.which("sacct"):
            return statuses
        command = ["sacct", *self.cluster_words(cluster), "-XPn", "-j", jobs]
        command += ["-o", "JobID,State,ExitCode"]
        for line in self.run(command, "storage is disabled").splitlines():
            number, state, code = [*line.split("|"), "", ""][:3]
            parent, _, index = number.partition("_")
            status = _accounting_status(state, code)
            if index:  # 18_[1-9:2%4]: not started
                elements = indices(index.strip("[]"))
                statuses |= {element(parent, i): status for i in elements}
            else:
                statuses[number] = status
        return statuses

    def site_settings(self) -> tuple[dict[str, Any], list[str]]:
        """Return settings from the configuration of the controller."""
        output = self.run(["scontrol", "show", "config"])
        config = dict(re.findall(r"^(\w+) *= (.*?) *$", output, re.MULTILINE))
        values: dict[str, Any] = {"name": config.get("ClusterName", "")}
        values["max_array"] = int(config.get("MaxArraySize", "0"))
        partitions = self.try_run(["sinfo", "-h", "-o", "%P"])
        if default := re.search(r"^(\S+)\*", partitions, re.MULTILINE):
            values["queue"] = default[1]
        notes = ["account: the controller does not show it; set it if needed"]
        plugins = self.try_run(["srun", "--mpi=list"])
        notes += [
            f"launcher: srun has no plugin {plugin}; {mpi} needs mpiexec"
            for plugin, mpi in PLUGINS.items()
            if plugins and plugin not in plugins
        ]
        return values, notes


def clock(seconds: int) -> str:
    """Return a limit as D-HH:MM:SS, in full minutes as Slurm counts."""
    minutes = -(-seconds // 60)
    return f"{minutes // 1440}-{minutes // 60 % 24:02d}:{minutes % 60:02d}:00"


def _controller_status(state: str, status: str, reason: str) -> JobStatus:
    """Return a status of squeue; its exit code is that of wait, as a number."""
    value = int(status) if status.isdigit() else 0
    code = 128 + (value & 127) if value & 127 else value >> 8
    return JobStatus(
        STATES.get(state, job_state.UNKNOWN), code, "" if reason == "None" else reason
    )


def _accounting_status(state: str, exit_code: str) -> JobStatus:
    """Return a status of sacct; its exit code is code:signal."""
    number, _, signal = exit_code.partition(":")
    code = int(number) if number.isdigit() else None
    if signal.isdigit() and int(signal):
        code = 128 + int(signal)
    name = state.split(" ", maxsplit=1)[0].rstrip("+")
    return JobStatus(STATES.get(name, job_state.UNKNOWN), code, state)
