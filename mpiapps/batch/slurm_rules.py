"""The rules of `mpiapps lint` for scripts of Slurm."""

from __future__ import annotations

import re

from mpiapps.batch import rule_types
from mpiapps.batch.parsed_script import Script
from mpiapps.batch.rule_types import Problems, Rule
from mpiapps.batch.slurm_options import SYNTAX

SLURM = "slurm"
HARDWARE_THREADS = {
    "--hint": "multithread",
    "--ntasks-per-core": "2",
    "--threads-per-core": "2",
}
# A plain number is in MiB: smaller values were probably meant in GiB.
SMALL = {"--mem": r"0*[1-9]\d{,2}", "--mem-per-cpu": r"0*[1-9]\d?"}
SMALL["--mem-per-gpu"] = SMALL["--mem"]
MIB = "a plain number is in MiB: {value} is {value} MiB"
# Option -> values that give each rank GPUs of its own.
ISOLATED = {
    "--gpus-per-task": r".+",
    "--ntasks-per-gpu": r".+",
    "--tres-per-task": r"(.*,)?gres[/:]gpu\b.*",
    "--gpu-bind": r"(?!none).+",
    "--tres-bind": r"(.*\+)?gres[/:]gpu:(?!none).+",
}
SHARED = "{value}: ranks or threads share the units of a core"
NO_THREADS = "use --hint=nomultithread"


@rule_types.rule("two-schedulers", "write one script for each scheduler")
def _two_schedulers(script: Script) -> Problems:
    for other, prefix in (("pbs", "#PBS"), ("lsf", "#BSUB")):
        if script.directives[SLURM] and script.directives[other]:
            line = script.directives[other][0].line
            yield line, f"{prefix} together with #SBATCH: sbatch reads both"


@rule_types.rule("no-interpreter", "begin with #!/bin/bash")
def _no_interpreter(script: Script) -> Problems:
    if script.directives[SLURM] and not script.text.startswith("#!"):
        yield 1, "the first line does not begin with #!: sbatch rejects the script"


@rule_types.rule("memory-twice", "keep one of them")
def _memory_twice(script: Script) -> Problems:
    first: dict[int, str] = {}
    for option in script.options(SLURM, *SMALL):
        other = first.setdefault(option.component, option.name)
        if other != option.name:
            yield option.line, f"{option.name} with {other}: sbatch rejects the pair"


@rule_types.rule("no-nodes", "add --nodes and --ntasks-per-node")
def _no_nodes(script: Script) -> Problems:
    if re.search(r"^\s*--ranks=\d", script.text, re.MULTILINE):
        return  # rendered for any hosts, as requested
    for option in script.options(SLURM, "--ntasks"):
        nodes = script.value(SLURM, "--nodes", option.component)
        if option.value.isdigit() and int(option.value) > 1 and not nodes:
            yield option.line, "ranks without --nodes: any number of hosts is possible"


@rule_types.rule("array-limit", "split the array, or give elements more work")
def _array_limit(script: Script) -> Problems:
    for option in script.options(SLURM, "--array"):
        numbers = re.findall(r"\d+", re.sub(r"[:%]\d+", "", option.value))
        highest, limit = max(map(int, numbers), default=0), script.max_array - 1
        if highest > limit:
            text = f"index {highest} is above the maximum, MaxArraySize - 1 = {limit}"
            yield option.line, text


@rule_types.rule("signal", "trap 'kill -USR1 $pid' USR1, and --signal=B:USR1@...")
def _signal(script: Script) -> Problems:
    trap = re.search(r"^\s*(trap|job_run|job_start)\b", script.text, re.MULTILINE)
    mpiexec = any(script.calls(r"(^|[\s/])(mpirun|mpiexec)\s"))
    for option in script.options(SLURM, "--signal"):
        kind, colon, _ = option.value.partition(":")
        to_script = colon and "B" in kind
        if to_script and not trap:
            yield option.line, "--signal=B: without a trap the signal ends the script"
        if not to_script and mpiexec:
            text = "without B: only steps of srun get the signal; mpiexec has none"
            yield option.line, text


def _ranks(script: Script, call: str) -> int:
    """Return the number of ranks of a call of srun; 1 if the script has no number."""
    given = re.search(r"\s(?:-n ?|--n?tasks[= ])(\d+)", call)
    ntasks = given[1] if given else script.value(SLURM, "--ntasks")
    if ntasks.isdigit():
        return int(ntasks)
    shape = [script.value(SLURM, name) for name in ("--nodes", "--ntasks-per-node")]
    nodes, per_node = (int(text) if text.isdigit() else 1 for text in shape)
    return nodes * per_node


def _parallel_calls(script: Script, pattern: str) -> Problems:
    """Yield the calls of srun with several ranks that match `pattern`."""
    for number, line in script.calls(r"(^|\s)srun\s" + pattern):
        if _ranks(script, line) > 1:
            yield number, line


@rule_types.rule("srun-mpi", "--mpi=pmix for Open MPI, pmi2 for MPICH and Intel MPI")
def _srun_mpi(script: Script) -> Problems:
    for number, line in _parallel_calls(script, r".*\b(python|mpi)"):
        if "--mpi" not in line and "SLURM_MPI_TYPE" not in script.text:
            yield number, "srun without --mpi: usually N programs of one rank each"


@rule_types.rule("srun-cpus", "repeat it, or export SRUN_CPUS_PER_TASK")
def _srun_cpus(script: Script) -> Problems:
    option, pattern = SYNTAX.cores
    cores = (directive.value for directive in script.options(SLURM, option))
    if "SRUN_CPUS_PER_TASK" in script.text or not any(
        re.fullmatch(pattern, value) for value in cores
    ):
        return
    for number, line in script.calls(r"(^|\s)srun\s"):
        if not re.search(r"--cpus-per-task|\s-c ?\d", line):
            yield number, "srun before Slurm 23.11 does not inherit --cpus-per-task"


@rule_types.rule("srun-kill", "add --kill-on-bad-exit=1")
def _srun_kill(script: Script) -> Problems:
    for number, line in _parallel_calls(script, r".*--mpi"):
        if not re.search(r"--kill-on-bad-exit|\s-K", line):
            yield number, "after one rank has failed, the others wait until the limit"


RULES: tuple[Rule, ...] = (
    *(
        _two_schedulers,
        _no_interpreter,
        _memory_twice,
        _no_nodes,
        _array_limit,
        _signal,
    ),
    *(_srun_mpi, _srun_cpus, _srun_kill),
    *(
        Rule(
            "memory-unit", "write the unit: G or M", rule_types.values(SLURM, *row, MIB)
        )
        for row in SMALL.items()
    ),
    *(
        Rule("hardware-threads", NO_THREADS, rule_types.values(SLURM, *row, SHARED))
        for row in HARDWARE_THREADS.items()
    ),
    *(
        rule_types.isolated_gpus(SLURM, *row, "use --gpus-per-node")
        for row in ISOLATED.items()
    ),
    rule_types.short_time(SLURM, SYNTAX.time),
    rule_types.whole_environment(SLURM, "--export", r"(.*,)?ALL(,.*)?"),
)
