"""PBS Pro and OpenPBS: directives, submission, states."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from mpiapps.base.errors import UsageError
from mpiapps.batch.client import NoAnswer, query
from mpiapps.batch.job_state import (
    CANCELLED,
    DONE,
    FAILED,
    PENDING,
    RUNNING,
    TIMED_OUT,
    UNKNOWN,
    Answers,
    JobId,
    JobStatus,
    Submission,
    element,
)
from mpiapps.batch.quoting import parse_array
from mpiapps.batch.request import Job

STATES = {
    **dict.fromkeys("QHWTM", PENDING),
    **dict.fromkeys("RBESU", RUNNING),
    **dict.fromkeys("FX", DONE),
}
# What the server gives in place of the script's code (pbs_error: JOB_EXEC_*), and the
# signals that end a job: PBS adds 256 to their number.
KILLED_WALLTIME = -29
SIGNALLED = 256


def directives(job: Job) -> list[str]:
    """Return the options of qsub. Local; `UsageError` for what it cannot say."""
    request = job.request
    chunk = f"{request.nodes}:ncpus={request.cores_per_node}"
    chunk += f":mpiprocs={request.ranks_per_node}:ompthreads={request.threads}"
    chunk += f":mem={request.memory_per_node}mb" if request.memory else ""
    gpus = request.gpus * request.ranks_per_node
    chunk += f":ngpus={gpus}" if gpus else ""
    lines = [
        "-S /bin/bash",
        f"-N {request.name}",
        f"-l select={chunk}",
        "-l place=scatter",
        f"-l walltime={clock(request.time)}",
        "-j oe",
        f"-o {request.logs}/",
        "-r y",
    ]
    lines += [f"-A {request.account}"] if request.account else []
    lines += [f"-q {request.queue}"] if request.queue else []
    if request.array:
        lines += [_array(job)]
    if request.dependency:
        kind = "afterany" if request.after_any else "afterok"
        lines += [f"-W depend={kind}:{':'.join(request.after_ids)}"]
    lines += ["-m ae", f"-M {request.mail_user}"] * bool(request.mail_user)
    return [*lines, *job.directives]


def _array(job: Job) -> str:
    indices, at_once = job.request.one_range("PBS"), job.request.array_parallelism
    if len(indices) == 1:
        raise UsageError(
            f"--array {job.request.array}: PBS has no array of one element; submit it"
            " without --array"
        )
    return f"-J {parse_array(indices)}" + (f"%{at_once}" if at_once else "")


def clock(seconds: int) -> str:
    """Return a limit as HH:MM:SS."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def submission(job: Submission) -> list[str]:
    """Return the command that submits a script."""
    after = f"depend=afterany:{':'.join(job.waits)}"
    return [
        *("qsub", "-v", ",".join(job.variables), "-o", f"{job.folder}/"),
        *(["-W", after] if job.waits else []),
        job.script,
    ]


def job_id(answer: str) -> JobId | None:
    """Return the job in what qsub printed: 12.server, 12[].server."""
    found = re.search(r"^\d+(\[\])?\.?\S*$", answer.strip(), re.MULTILINE)
    return JobId(found[0]) if found else None


def cluster() -> str:
    """Return nothing: a job's number names its server."""
    return ""


def seen(ids: Sequence[str], _elsewhere: str) -> Answers:
    """Ask the servers, whose history holds ended jobs too.

    Raises
    ------
    NoAnswer
        If a server cannot be asked.
    """
    command = ["qstat", "-f", "-t", "-F", "json"]
    try:
        told = query([*command, "-x", *ids], "Unknown Job Id")
    except NoAnswer as error:
        if "job_history_enable" not in str(error):
            raise
        told = query([*command, *ids], "Unknown Job Id|has finished")
    try:
        jobs = json.loads(told or "{}", strict=False).get("Jobs", {})
    except ValueError as error:
        raise NoAnswer(f"qstat printed no JSON: {told[:80].strip()}") from error
    answers = {}
    for name, job in jobs.items():
        part = re.fullmatch(r"(\d+)\[(\d+)\](.*)", name)
        key = element(f"{part[1]}[]{part[3]}", part[2]) if part else name
        answers[key] = _seen(job)
    return answers


def _seen(job: dict[str, object]) -> JobStatus:
    state = STATES.get(str(job.get("job_state")), UNKNOWN)
    code, reason = job.get("Exit_status"), str(job.get("comment", ""))
    if state != DONE:
        return JobStatus(state, None, reason)
    if not isinstance(code, int):
        # Ended before it ran; an element (X) may have run, and its end is not told.
        element_ended = job.get("job_state") == "X"
        return JobStatus(UNKNOWN if element_ended else CANCELLED, None, reason)
    if code == KILLED_WALLTIME or ("walltime" in reason and code != 0):
        return JobStatus(TIMED_OUT, code & 0xFF, reason)
    code = 128 + code - SIGNALLED if code > SIGNALLED else code & 0xFF
    return JobStatus(DONE if code == 0 else FAILED, code, reason)
