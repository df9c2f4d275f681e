"""Slurm: directives, submission, states."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence

from mpiapps.batch.client import NoAnswer, query, query_command
from mpiapps.batch.job_state import (
    CANCELLED,
    DONE,
    FAILED,
    OUT_OF_MEMORY,
    PENDING,
    PREEMPTED,
    RUNNING,
    TIMED_OUT,
    UNKNOWN,
    Answers,
    JobId,
    JobStatus,
    Submission,
    element,
    indices,
)
from mpiapps.batch.quoting import parse_array
from mpiapps.batch.request import Job

STATES = {
    "PENDING": PENDING,
    "CONFIGURING": PENDING,
    "REQUEUED": PENDING,
    "REQUEUE_FED": PENDING,
    "REQUEUE_HOLD": PENDING,
    "RESV_DEL_HOLD": PENDING,
    "SPECIAL_EXIT": PENDING,
    "RUNNING": RUNNING,
    "COMPLETING": RUNNING,
    "SIGNALING": RUNNING,
    "STAGE_OUT": RUNNING,
    "SUSPENDED": RUNNING,
    "STOPPED": RUNNING,
    "COMPLETED": DONE,
    "FAILED": FAILED,
    "NODE_FAIL": FAILED,
    "BOOT_FAIL": FAILED,
    "REVOKED": FAILED,
    "TIMEOUT": TIMED_OUT,
    "DEADLINE": TIMED_OUT,
    "OUT_OF_MEMORY": OUT_OF_MEMORY,
    "PREEMPTED": PREEMPTED,
    "CANCELLED": CANCELLED,
}


def directives(job: Job) -> list[str]:
    """Return the options of sbatch."""
    request, memory = job.request, job.request.memory_per_node
    kind, at_once = (
        ("afterany" if request.after_any else "afterok"),
        request.array_parallelism,
    )
    output = "%x-%A_%a.out" if request.array else "%x-%j.out"
    lines = [
        f"--job-name={request.name}",
        f"--nodes={request.nodes}",
        f"--ntasks-per-node={request.ranks_per_node}",
        f"--cpus-per-task={request.threads}",
        "--hint=nomultithread",  # a core for each, where CPUs are hardware threads
        f"--time={clock(request.time)}",
        f"--signal=B:USR1@{request.stop_margin}",
        f"--output={request.logs}/{output}",
        "--open-mode=append",
        "--requeue",
        "--export=NONE",
    ]
    lines += [f"--mem={memory}M"] if memory else []
    gpus = request.gpus * request.ranks_per_node
    lines += [f"--gpus-per-node={gpus}"] if gpus else []
    lines += [f"--account={request.account}"] if request.account else []
    lines += [f"--partition={request.queue}"] if request.queue else []
    if request.array:
        span = parse_array(request.indices())
        lines += [f"--array={span}" + (f"%{at_once}" if at_once else "")]
    if request.dependency:
        lines += [f"--dependency={kind}:{':'.join(request.after_ids)}"]
        lines += ["--kill-on-invalid-dep=yes"]
    lines += ["--mail-type=END,FAIL", f"--mail-user={request.mail_user}"] * bool(
        request.mail_user
    )
    return [*lines, *job.directives]


def clock(seconds: int) -> str:
    """Return a limit as D-HH:MM:SS, in full minutes as Slurm counts."""
    minutes = -(-seconds // 60)
    return f"{minutes // 1440}-{minutes // 60 % 24:02d}:{minutes % 60:02d}:00"


def submission(job: Submission) -> list[str]:
    """Return the command that submits a script."""
    output = "%x-%A_%a.out" if job.is_array else "%x-%j.out"
    after = f"--dependency=afterany:{':'.join(job.waits)}"
    return [
        *("sbatch", "--parsable", f"--export={','.join(job.variables)}"),
        f"--output={job.folder}/{output}",
        *([after] if job.waits else []),
        job.script,
    ]


def job_id(answer: str) -> JobId | None:
    """Return the job in what sbatch printed: 12, or 12;cluster."""
    found = re.search(r"^(\d+)(?:;(\S*))?$", answer.strip(), re.MULTILINE)
    return JobId(found[1], found[2] or "") if found else None


def cluster() -> str:
    """Return the name of the cluster that this host's commands ask."""
    told = query_command(["scontrol", "show", "config"]) or ""
    found = re.search(r"^ClusterName *= (\S+)", told, re.MULTILINE)
    return found[1] if found else ""


def cancel(elsewhere: str) -> list[str]:
    """Return the command that ends jobs; their numbers follow."""
    return ["scancel", *_clusters(elsewhere)]


def _clusters(elsewhere: str) -> list[str]:
    return ["--clusters", elsewhere] if elsewhere else []


FIELDS = ("ArrayJobID", "ArrayTaskID", "State", "exit_code", "Reason")


def seen(ids: Sequence[str], elsewhere: str) -> Answers:
    """Ask the controller, and accounting for what it has forgotten.

    Raises
    ------
    NoAnswer
        If the controller cannot be asked, or must have forgotten a job and accounting
        cannot be asked.
    """
    jobs, where = ",".join(ids), _clusters(elsewhere)
    layout = ",".join(f"{name}:|" for name in FIELDS)
    command = ["squeue", *where, "-h", "-a", "-r", "-t", "all", "-j", jobs]
    answers: dict[str, JobStatus] = {}
    for line in query([*command, "-O", layout], "Invalid job id").splitlines():
        number, index, *rest = (line + "|" * len(FIELDS)).split("|")
        if number.isdigit():
            key = element(number, index) if index.isdigit() else number
            answers[key] = _queued(*rest[:3])
    try:
        return _accounted(jobs, where) | answers
    except NoAnswer:
        if set(ids) - {key.partition("_")[0] for key in answers}:
            raise
        return answers


def _queued(word: str, status: str, reason: str) -> JobStatus:
    """Return what squeue tells; its exit code is wait's, as a number."""
    value = int(status) if status.isdigit() else 0
    code = 128 + (value & 127) if value & 127 else value >> 8
    return JobStatus(
        STATES.get(word, UNKNOWN), code, "" if reason == "None" else reason
    )


def _accounted(jobs: str, where: Sequence[str]) -> dict[str, JobStatus]:
    """Return what accounting tells; nothing where there is none."""
    answers: dict[str, JobStatus] = {}
    if not shutil.which("sacct"):
        return answers
    command = ["sacct", *where, "-XPn", "-j", jobs, "-o", "JobID,State,ExitCode"]
    for line in query(command, "storage is disabled").splitlines():
        number, state, code = [*line.split("|"), "", ""][:3]
        parent, _, index = number.partition("_")
        found = _ended(state, code)
        each = indices(index.strip("[]"))  # 18_[1-9:2%4]: not begun
        answers |= {element(parent, i): found for i in each} if index else {}
        answers |= {} if index else {number: found}
    return answers


def _ended(state: str, code: str) -> JobStatus:
    word = state.split(" ", maxsplit=1)[0].rstrip("+")
    number, _, signal = code.partition(":")
    value = int(number) if number.isdigit() else None
    if signal.isdigit() and int(signal):
        value = 128 + int(signal)
    return JobStatus(STATES.get(word, UNKNOWN), value, state)
