"""Slurm: directives, submission, states."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mpiapps.batch.client import Answers, ask
from mpiapps.batch.request import Job
from mpiapps.batch.state import (
    CANCELLED,
    DONE,
    FAILED,
    OUT_OF_MEMORY,
    PENDING,
    PREEMPTED,
    RUNNING,
    TIMED_OUT,
    UNKNOWN,
    Seen,
)

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
    """Return the options of sbatch. Local."""
    request, memory = job.request, job.request.memory_per_node
    kind, at_once = ("afterany" if request.after_any else "afterok"), request.at_once
    output = "%x-%A_%a.out" if request.array else "%x-%j.out"
    lines = [
        f"--job-name={request.name}",
        f"--nodes={request.nodes}",
        f"--ntasks-per-node={request.ranks_per_node}",
        f"--cpus-per-task={request.threads}",
        "--hint=nomultithread",  # a core for each, where CPUs are hardware threads
        f"--time={clock(request.time)}",
        f"--signal=B:USR1@{request.margin}",
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
        first, step = request.indices()[0], request.indices().step
        span = f"{first}-{request.indices()[-1]}" + (f":{step}" if step > 1 else "")
        lines += [f"--array={span}" + (f"%{at_once}" if at_once else "")]
    if request.after:
        lines += [f"--dependency={kind}:{':'.join(request.after_ids)}"]
        lines += ["--kill-on-invalid-dep=yes"]
    lines += ["--mail-type=END,FAIL", f"--mail-user={request.mail}"] * bool(
        request.mail
    )
    return [*lines, *job.site.directives]


def clock(seconds: int) -> str:
    """Return a limit as D-HH:MM:SS, in full minutes as Slurm counts. Local."""
    minutes = -(-seconds // 60)
    return f"{minutes // 1440}-{minutes // 60 % 24:02d}:{minutes % 60:02d}:00"


def submission(script: str, variables: Sequence[str]) -> list[str]:
    """Return the command that submits `script`. Local."""
    exported = [f"--export={','.join(variables)}"] if variables else []
    return ["sbatch", "--parsable", *exported, script]


def job_id(answer: str) -> str | None:
    """Return the job's number in what sbatch printed. Local."""
    found = re.search(r"^(\d+)(;.*)?$", answer.strip(), re.MULTILINE)
    return found[1] if found else None


def seen(ids: Sequence[str]) -> Answers:
    """Ask accounting, then the controller; what neither knows is left out. Local."""
    answers: Answers = {}
    told = ask(["sacct", "-XPn", "-j", ",".join(ids), "-o", "JobID,State,ExitCode"])
    for line in (told or "").splitlines():
        number, _, rest = line.partition("|")
        state, _, code = rest.partition("|")
        answers[number] = _seen(state, code)
    for number in ids:
        told = ask(["scontrol", "show", "job", "--oneliner", number])
        for line in (told or "").splitlines():
            words = dict(re.findall(r"(\w+)=(\S+)", line))
            name = words.get("JobId", number)
            if "ArrayTaskId" in words:
                name = f"{words['ArrayJobId']}_{words['ArrayTaskId']}"
            answers[name] = _seen(words.get("JobState", ""), words.get("ExitCode", ""))
    return answers


def _seen(state: str, code: str) -> Seen:
    word = state.split(" ", maxsplit=1)[0].rstrip("+")
    number, _, signal = code.partition(":")
    value = int(number) if number.isdigit() else None
    if signal.isdigit() and int(signal):
        value = 128 + int(signal)
    return Seen(STATES.get(word, UNKNOWN), value, state)
