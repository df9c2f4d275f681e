"""How the traps in commands are found; each yields lines, and what is wrong."""

from __future__ import annotations

import re

from mpiapps.batch.directive_rules import LSF, PBS, SGE, SLURM, Found
from mpiapps.batch.script import Script

LAUNCHER = r"(^|[\s/(])(srun|mpirun|mpiexec)(\s|$)"


def _ranks(script: Script, call: str) -> int:
    """Return how many ranks an srun starts; 1 if the script does not say."""
    given = re.search(r"\s(?:-n ?|--n?tasks[= ])(\d+)", call)
    asked = given[1] if given else script.value(SLURM, "--ntasks")
    if asked.isdigit():
        return int(asked)
    each = [script.value(SLURM, name) for name in ("--nodes", "--ntasks-per-node")]
    nodes, per_node = (int(n) if n.isdigit() else 1 for n in each)
    return nodes * per_node


def _sruns(script: Script, pattern: str) -> Found:
    """Yield the srun commands of several ranks with `pattern` in them."""
    for number, line in script.calls(r"(^|\s)srun\s" + pattern):
        if _ranks(script, line) > 1:
            yield number, line


def srun_mpi(script: Script) -> Found:
    """Find srun of several ranks without a plugin."""
    for number, line in _sruns(script, r".*\b(python|mpi)"):
        if "--mpi" not in line and "SLURM_MPI_TYPE" not in script.text:
            yield number, "srun without --mpi: N programs of one rank each, most often"


def _several_cores(script: Script) -> Found:
    """Yield the options that ask for several cores a rank."""
    patterns = {
        (SLURM, "--cpus-per-task"): r"^([2-9]|\d\d)",
        (PBS, "-l select"): r"ncpus=([2-9]|\d\d)",
        (LSF, "-R"): r"core\(([2-9]|\d\d)",
    }
    for (scheduler, name), pattern in patterns.items():
        for each in script.options(scheduler, name):
            if re.search(pattern, each.value):
                yield each.line, scheduler


def srun_cpus(script: Script) -> Found:
    """Find srun that has only one core a rank."""
    asked = any(scheduler == SLURM for _, scheduler in _several_cores(script))
    if not asked or "SRUN_CPUS_PER_TASK" in script.text:
        return
    for number, line in script.calls(r"(^|\s)srun\s"):
        if not re.search(r"--cpus-per-task|\s-c ?\d", line):
            yield number, "srun before Slurm 23.11 forgets --cpus-per-task"


def srun_kill(script: Script) -> Found:
    """Find srun that waits for the ranks of a dead one."""
    for number, line in _sruns(script, r".*--mpi"):
        if not re.search(r"--kill-on-bad-exit|\s-K", line):
            yield number, "one dead rank leaves the others hanging to the time limit"


def threads(script: Script) -> Found:
    """Find cores that libraries may count wrong."""
    if "OMP_NUM_THREADS" not in script.text:
        for number, _ in _several_cores(script):
            yield number, "several cores a rank, and OMP_NUM_THREADS is not set"


def lost_code(script: Script) -> Found:
    """Find a launcher whose exit code a later command replaces."""
    kept = re.search(r"^\s*(exit\s|set -[a-z]*e|exec\s)", script.text, re.MULTILINE)
    launches = list(script.calls(LAUNCHER))
    if not launches or kept or script.commands[-1][0] <= launches[-1][0]:
        return
    if not script.text.splitlines()[launches[-1][0] - 1].endswith("\\"):
        yield (
            launches[-1][0],
            "its exit code is lost: the job ends with a later one",
        )


def pbs_folder(script: Script) -> Found:
    """Find that the job stays in the home folder."""
    if script.directives[PBS] and "PBS_O_WORKDIR" not in script.text:
        yield 0, "the job starts in the home folder, not where it was submitted"


def grid_engine_slots(script: Script) -> Found:
    """Find a launcher in a job of one slot."""
    if script.directives[SGE] and not script.options(SGE, "-pe"):
        for number, _ in script.calls(r"(^|[\s/])(mpirun|mpiexec)\s"):
            yield number, "no -pe: the job has one slot, on one host"
