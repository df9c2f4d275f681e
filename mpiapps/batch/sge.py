"""Grid Engine: directives, submission, states."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from mpiapps.base.errors import UsageError
from mpiapps.batch.client import query, query_command
from mpiapps.batch.job_state import (
    DONE,
    FAILED,
    PENDING,
    RUNNING,
    TIMED_OUT,
    Answers,
    JobId,
    JobStatus,
    Submission,
    element,
)
from mpiapps.batch.quoting import parse_array
from mpiapps.batch.request import MIB, Job

# qacct's `failed`: the master or the execution daemon enforced h_rt or h_cpu.
HARD_LIMITS = ("37", "44")


def directives(job: Job) -> list[str]:
    """Return the options of qsub. Local; `UsageError` for what it cannot say."""
    request, site = job.request, job.site
    task = ".$TASK_ID" if request.array else ""
    lines = [
        "-S /bin/bash",
        f"-N {request.name}",
        "-cwd",
        "-j y",
        f"-o {request.logs}/$JOB_NAME.$JOB_ID{task}.out",
        "-r y",
        f"-l h_rt={clock(request.time)}",
    ]
    slots = request.nodes * request.cores_per_node
    if slots > 1:
        lines += [f"-pe {_environment(job)} {slots}"]
    if request.memory:
        lines += [f"-l {_memory(job)}"]
    if request.gpus:
        lines += [f"-l {site.gpu_resource}={_per_slot(job)}"]
    lines += [f"-P {request.account}"] if request.account else []
    lines += [f"-q {request.queue}"] if request.queue else []
    if request.array:
        lines += [_array(job)]
        lines += (
            [f"-tc {request.array_parallelism}"] if request.array_parallelism else []
        )
    if request.dependency:
        if not request.after_any:
            raise UsageError(
                f"--dependency {request.dependency}: Grid Engine starts a job when"
                " others have ended, even if they failed; name a run of `mpiapps"
                " status`, whose exit code the script checks, or accept failures:"
                f" --dependency any:{request.dependency}"
            )
        lines += [f"-hold_jid {','.join(request.after_ids)}"]
    lines += ["-m ea", f"-M {request.mail_user}"] * bool(request.mail_user)
    return [*lines, *job.directives]


def _environment(job: Job) -> str:
    """Return the parallel environment whose rule gives the shape asked for."""
    request, environments = job.request, job.site.parallel_environments
    cores = request.cores_per_node
    rules = [str(cores), *(["$pe_slots"] if request.nodes == 1 else [])]
    for rule in rules[::-1]:
        for name, its_rule in environments.items():
            if its_rule == rule:
                return name
    have = ", ".join(f"{name} ({rule})" for name, rule in environments.items())
    raise UsageError(
        f"{request.nodes} hosts with {request.ranks_per_node} ranks of"
        f" {request.threads} threads each need a parallel environment whose"
        f" allocation_rule is {' or '.join(rules)}; the site has {have or 'none'}."
        " Ask for a shape that one of them gives, or name another in the site file"
        " (mpiapps site probe lists them)"
    )


def _memory(job: Job) -> str:
    request, name = job.request, job.site.memory_resource
    if not name:
        raise UsageError(
            "--memory: this site does not say by which resource memory is asked for;"
            " set memory_resource in the site file (often h_vmem or mem_free)"
        )
    per = request.threads if job.site.memory_per_slot else 1
    each = request.memory / per if per > 1 else request.memory
    if not job.site.memory_per_slot:
        each *= request.ranks_per_node
    return f"{name}={-(-int(each) // MIB)}M"


def _per_slot(job: Job) -> int:
    request = job.request
    if request.gpus % request.threads:
        raise UsageError(
            f"--gpus {request.gpus} with --threads {request.threads}: Grid Engine"
            " counts GPUs per slot; give as many GPUs as threads, or a multiple"
        )
    return request.gpus // request.threads


def _array(job: Job) -> str:
    indices = job.request.one_range("Grid Engine")
    if indices[0] < 1:
        raise UsageError(
            f"--array {job.request.array}: Grid Engine counts from 1; start at 1 or"
            " more"
        )
    return f"-t {parse_array(indices)}"


def clock(seconds: int) -> str:
    """Return a limit as H:MM:SS."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def submission(job: Submission) -> list[str]:
    """Return the command that submits a script."""
    task = ".$TASK_ID" if job.is_array else ""
    return [
        *("qsub", "-terse", "-v", ",".join(job.variables)),
        *("-o", f"{job.folder}/$JOB_NAME.$JOB_ID{task}.out"),
        *(["-hold_jid", ",".join(job.waits)] if job.waits else []),
        job.script,
    ]


def job_id(answer: str) -> JobId | None:
    """Return the job in what qsub printed: 12, or 12.1-4:1."""
    found = re.search(r"^(\d+)(\.\d+-\d+:\d+)?$", answer.strip(), re.MULTILINE)
    return JobId(found[1]) if found else None


def cluster() -> str:
    """Return cell and master of the cluster that this host's commands ask.

    The cell alone is ``default`` almost everywhere.
    """
    master = (query_command(["qconf", "-sss"]) or "").strip()
    return f"{os.environ.get('SGE_CELL') or 'default'}@{master}" if master else ""


def seen(ids: Sequence[str], _elsewhere: str) -> Answers:
    """Ask for the jobs in the queue, then for those that ended.

    Raises
    ------
    NoAnswer
        If the master cannot be asked.
    """
    answers: dict[str, JobStatus] = {}
    for line in query(["qstat", "-u", "*", "-g", "d"]).splitlines():
        words = line.split()
        if words and words[0] in ids:
            # ... state, date, time, the queue's instance unless it waits, slots, task.
            task = words[9:] if "@" in words[7] else words[8:]
            key = element(words[0], task[0]) if task else words[0]
            answers[key] = _queued(words[4])
    for number in ids:
        if number not in answers:
            answers = _accounted(number) | answers
    return answers


def _accounted(number: str) -> dict[str, JobStatus]:
    """Return what accounting tells of a job's ends; a later one replaces an earlier."""
    answers = {}
    for block in (query_command(["qacct", "-j", number]) or "").split("=" * 10):
        told = dict(re.findall(r"^(\w+) +(.*?) *$", block, re.MULTILINE))
        if "exit_status" in told:
            task = told.get("taskid", "undefined")
            key = number if task == "undefined" else element(number, task)
            answers[key] = _ended(told)
    return answers


def _queued(letters: str) -> JobStatus:
    """Return the state by qstat's letters: E error, q waiting, R run again."""
    if "E" in letters:
        return JobStatus(
            FAILED, None, f"{letters}: `qstat -j` tells why it cannot start"
        )
    found = RUNNING if set(letters) & set("rtd") else PENDING
    held = "h" in letters and found == PENDING
    reason = f"{letters}: held, or waits for a job" if held else letters
    return JobStatus(found, None, reason)


def _ended(words: dict[str, str]) -> JobStatus:
    code = int(words["exit_status"].split(" ")[0])  # 137 (Killed)
    failed = words.get("failed", "0")
    number = failed.split(" ")[0]
    if number in HARD_LIMITS:
        return JobStatus(TIMED_OUT, code, failed)
    well = code == 0 and number == "0"
    return JobStatus(DONE if well else FAILED, code, "" if number == "0" else failed)
