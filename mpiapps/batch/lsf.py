"""LSF: directives, submission, states."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from mpiapps.base.errors import UsageError
from mpiapps.batch.client import NoAnswer, query, query_command
from mpiapps.batch.job_state import (
    CANCELLED,
    DONE,
    FAILED,
    OUT_OF_MEMORY,
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
    **dict.fromkeys(("PEND", "WAIT", "PSUSP", "PROV"), PENDING),
    **dict.fromkeys(("RUN", "USUSP", "SSUSP"), RUNNING),
    "DONE": DONE,
    "EXIT": FAILED,
}
# bjobs' exit_reason, by its first word.
REASONS = {
    "TERM_RUNLIMIT": TIMED_OUT,
    "TERM_DEADLINE": TIMED_OUT,
    "TERM_MEMLIMIT": OUT_OF_MEMORY,
    "TERM_OWNER": CANCELLED,
    "TERM_ADMIN": CANCELLED,
}


def directives(job: Job) -> list[str]:
    """Return the options of bsub. Local; `UsageError` for what it cannot say."""
    request, memory = job.request, job.request.memory_per_node
    shape = f"span[ptile={request.ranks_per_node}] affinity[core({request.threads})]"
    shape += f" rusage[mem={memory}MB]" if memory else ""
    token = "%J_%I" if request.array else "%J"
    lines = [
        f"-J {_name(job)}",
        f"-n {request.ntasks}",
        f'-R "{shape}"',
        f"-W {clock(request.time)}",
        f"-o {request.logs}/{request.name}-{token}.out",
        "-r",
        "-Q 99",
        "-env none",
    ]
    lines += [f'-gpu "num={request.gpus}/task"'] if request.gpus else []
    lines += [f"-P {request.account}"] if request.account else []
    lines += [f"-q {request.queue}"] if request.queue else []
    if request.dependency:
        kind = "ended" if request.after_any else "done"
        terms = " && ".join(f"{kind}({number})" for number in request.after_ids)
        lines += [f'-w "{terms}"']
    addresses = request.mail_user.replace(",", " ")
    addresses = f'"{addresses}"' if " " in addresses else addresses
    lines += ["-N", f"-u {addresses}"] * bool(request.mail_user)
    return [*lines, *job.directives]


def _name(job: Job) -> str:
    request, indices = job.request, job.request.indices()
    if not indices:
        return request.name
    if indices[0] < 1:
        raise UsageError(
            f"--array {request.array}: LSF counts from 1; start at 1 or more"
        )
    at_once = f"%{request.array_parallelism}" if request.array_parallelism else ""
    return f'"{request.name}[{parse_array(indices)}]{at_once}"'


def clock(seconds: int) -> str:
    """Return a limit as H:MM, in full minutes as LSF counts."""
    minutes = -(-seconds // 60)
    return f"{minutes // 60}:{minutes % 60:02d}"


def submission(job: Submission) -> list[str]:
    """Return the command that submits a script."""
    token = "%J_%I" if job.is_array else "%J"
    ended = " && ".join(f"ended({number})" for number in job.waits)
    return [
        *("bsub", "-env", ",".join(["none", *job.variables])),
        *("-o", f"{job.folder}/{token}.out"),
        *(["-w", ended] if ended else []),
        job.script,
    ]


def job_id(answer: str) -> JobId | None:
    """Return the job in what bsub printed."""
    found = re.search(r"Job <(\d+)>", answer)
    return JobId(found[1]) if found else None


def cluster() -> str:
    """Return the name of the cluster that this host's commands ask."""
    found = re.search(r"My cluster name is (\S+)", query_command(["lsid"]) or "")
    return found[1] if found else ""


def seen(ids: Sequence[str], _elsewhere: str) -> Answers:
    """Ask for the jobs, ended ones included.

    Raises
    ------
    NoAnswer
        If the batch system cannot be asked.
    """
    fields = "jobid jobindex stat exit_code exit_reason pend_reason"
    told = query(["bjobs", "-a", "-json", "-o", fields, *ids], "is not found")
    try:
        rows = json.loads(told or "{}").get("RECORDS", [])
    except ValueError as error:
        raise NoAnswer(f"bjobs printed no JSON: {told[:80].strip()}") from error
    answers = {}
    for row in rows:
        number, index = row.get("JOBID", ""), row.get("JOBINDEX", "0") or "0"
        if "ERROR" not in row:
            answers[number if index == "0" else element(number, index)] = _seen(row)
    return answers


def _seen(row: dict[str, str]) -> JobStatus:
    state = STATES.get(row.get("STAT", ""), UNKNOWN)
    reason = row.get("PEND_REASON" if state == PENDING else "EXIT_REASON", "")
    reason = " ".join(reason.split())
    code = int(row["EXIT_CODE"]) if row.get("EXIT_CODE", "").isdigit() else None
    if state == FAILED:
        state = REASONS.get(reason.split(":")[0], FAILED)
    return JobStatus(state, 0 if state == DONE else code, reason)
