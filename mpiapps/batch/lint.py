"""The known traps in job scripts that people already have: for `mpiapps lint`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mpiapps.batch.scheduler import TABLE
from mpiapps.batch.script import Script

Found = Iterator[tuple[int, str]]


@dataclass(frozen=True)
class Trap:
    """A trap: its name, how it is found, and what to do."""

    name: str
    find: Callable[[Script], Found]
    remedy: str


@dataclass(frozen=True)
class Finding:
    """A trap in a script: line (0: the whole), trap, what is wrong, what to do."""

    line: int
    trap: str
    text: str
    remedy: str


SLURM, SGE, PBS, LSF = (TABLE[name].prefix for name in ("slurm", "sge", "pbs", "lsf"))
LAUNCHER = r"(^|[\s/(])(srun|mpirun|mpiexec)(\s|$)"


def _memory_twice(script: Script) -> Found:
    if script.has(SLURM, r"--mem[= ]"):
        for number, match in script.options(SLURM, r"--mem-per-(cpu|gpu)"):
            yield number, f"{match[0]} together with --mem: sbatch refuses both"


def _short_time(script: Script) -> Found:
    for number, match in script.options(SLURM, r"(?:--time[= ]|-t ?)(\d+:\d+)\s*(#|$)"):
        minutes, seconds = match[1].split(":")
        yield number, f"{match[1]} is {minutes} min {seconds} s"
    for number, match in script.options(PBS, r"walltime=(\d+:\d+)\s*(,|#|$)"):
        yield number, f"{match[1]} is minutes and seconds"


def _no_time(script: Script) -> Found:
    patterns = {
        SLURM: r"(--time|-t ?\d)",
        SGE: r"h_rt=",
        PBS: r"walltime=",
        LSF: r"-W ",
    }
    for prefix, pattern in patterns.items():
        if script.directives[prefix] and not script.has(prefix, pattern):
            yield 0, "no time limit: the queue's default holds, and backfill is lost"


def _missing_folder(script: Script) -> Found:
    for prefix in (SLURM, SGE, PBS, LSF):
        pattern = r"(?:--(?:output|error)[= ]|-[oe]o? +)(\S+)/"
        for number, match in script.options(prefix, pattern):
            folder = match[1]
            if (
                not re.search(r"[%$^]", folder)
                and not (script.folder / folder).is_dir()
            ):
                yield (
                    number,
                    f"the folder {folder} does not exist: no output, no reason",
                )


def _two_schedulers(script: Script) -> Found:
    used = [prefix for prefix, lines in script.directives.items() if lines]
    if SLURM in used and len(used) > 1:
        other = next(prefix for prefix in used if prefix != SLURM)
        yield (
            script.directives[other][0][0],
            f"{other} beside {SLURM}: sbatch reads both",
        )


def _late_directive(script: Script) -> Found:
    first = script.commands[0][0] if script.commands else 0
    for prefix in (SLURM, PBS, LSF):
        for number, _ in script.directives[prefix]:
            if first and number > first:
                yield number, f"after the first command (line {first}): it is ignored"


def _near_directive(script: Script) -> Found:
    for number, line in script.lines:
        if re.match(r"(\s+#|#\s+|##)(SBATCH|PBS|BSUB)\s+-", line):
            yield number, "looks like a directive, and is a comment"


def _unexpanded(script: Script) -> Found:
    for prefix in (SLURM, LSF, PBS):
        for number, match in script.options(prefix, r"\$\{?\w+"):
            if not (prefix == PBS and "$PBS_" in match[0]):
                yield number, f"{match[0]}: variables are not replaced in a directive"


def _carriage_return(script: Script) -> Found:
    for number, line in enumerate(script.text.split("\n"), 1):
        if line.endswith("\r"):
            yield number, "ends in a carriage return: the scheduler or bash refuses it"
            return


def _no_nodes(script: Script) -> Found:
    if not script.has(SLURM, r"(--nodes|-N ?\d)"):
        for number, _ in script.options(SLURM, r"(--ntasks[= ]|-n ?\d)"):
            yield number, "ranks without --nodes: they may spread over any hosts"


def _srun_mpi(script: Script) -> Found:
    for number, line in script.calls(r"(^|\s)srun\s.*\b(python|mpi)"):
        if "--mpi" not in line and "SLURM_MPI_TYPE" not in script.text:
            yield number, "srun without --mpi: N programs of one rank each, most often"


def _srun_cpus(script: Script) -> Found:
    asked = script.has(SLURM, r"(--cpus-per-task[= ]|-c ?)([2-9]|\d\d)")
    if not asked or "SRUN_CPUS_PER_TASK" in script.text:
        return
    for number, line in script.calls(r"(^|\s)srun\s"):
        if not re.search(r"--cpus-per-task|\s-c ?\d", line):
            yield number, "srun before Slurm 23.11 forgets --cpus-per-task"


def _srun_kill(script: Script) -> Found:
    for number, line in script.calls(r"(^|\s)srun\s.*--mpi"):
        if not re.search(r"--kill-on-bad-exit|\s-K", line):
            yield number, "one dead rank leaves the others hanging to the time limit"


def _threads(script: Script) -> Found:
    many = {
        SLURM: r"(--cpus-per-task[= ]|-c ?)([2-9]|\d\d)",
        PBS: r"ncpus=([2-9]|\d\d)",
        LSF: r"core\(([2-9]|\d\d)",
    }
    if "OMP_NUM_THREADS" in script.text:
        return
    for prefix, pattern in many.items():
        for number, _ in script.options(prefix, pattern):
            yield number, "several cores a rank, and OMP_NUM_THREADS is not set"


def _hardware_threads(script: Script) -> Found:
    for number, match in script.options(
        SLURM, r"--(hint[= ]multithread|ntasks-per-core[= ]2|threads-per-core[= ]2)"
    ):
        yield number, f"{match[0]}: ranks or threads share a core's arithmetic"
    for number, _ in script.calls(r"--(use-hwthread-cpus|map-by hwthread)"):
        yield number, "ranks on hardware threads share a core's arithmetic"


def _array_limit(script: Script) -> Found:
    for number, match in script.options(SLURM, r"(?:--array[= ]|-a ?)(\S+)"):
        most = max(map(int, re.findall(r"\d+", match[1].split("%")[0])), default=0)
        if most >= script.max_array:
            yield (
                number,
                f"index {most} is over MaxArraySize - 1 = {script.max_array - 1}",
            )
    for number, match in script.options(PBS, r"-J (\d+)-(\d+)"):
        if int(match[1]) >= int(match[2]):
            yield number, "PBS has no array of one element"


def _signal(script: Script) -> Found:
    trap = re.search(r"^\s*trap\s", script.text, re.MULTILINE)
    for number, match in script.options(SLURM, r"--signal[= ](B:)?\w+"):
        if match[1] and not trap:
            yield number, "--signal=B: without a trap kills the script"
        mpiexec = list(script.calls(r"(^|[\s/])(mpirun|mpiexec)\s"))
        if not match[1] and mpiexec:
            yield number, "without B: the signal goes to srun's steps; mpiexec has none"
    for number, _ in script.options(SGE, r"-notify"):
        yield number, "-notify sends USR2, of which Hydra's mpiexec dies"


def _lost_code(script: Script) -> Found:
    kept = re.search(r"^\s*(exit\s|set -[a-z]*e|exec\s)", script.text, re.MULTILINE)
    launches = list(script.calls(LAUNCHER))
    if not launches or kept or script.commands[-1][0] <= launches[-1][0]:
        return
    if not script.text.splitlines()[launches[-1][0] - 1].endswith("\\"):
        yield (
            launches[-1][0],
            "its exit code is lost: the job ends with a later one",
        )


def _grid_engine_comment(script: Script) -> Found:
    for number, line in script.lines:
        if re.match(r"#\$[^\s-]", line) and script.directives[SGE]:
            yield number, "Grid Engine reads every line that begins with #$"


def _grid_engine_slots(script: Script) -> Found:
    if script.directives[SGE] and not script.has(SGE, r"-pe\s"):
        for number, _ in script.calls(r"(mpirun|mpiexec)\s"):
            yield number, "no -pe: the job has one slot, on one host"


def _pbs_chunks(script: Script) -> Found:
    for number, match in script.options(PBS, r"select=\S+"):
        if "mpiprocs" not in match[0]:
            yield number, "select without mpiprocs: one line for each chunk's host"
    if script.has(PBS, r"select=") and script.has(PBS, r"nodes="):
        number, _ = next(script.options(PBS, r"nodes="))
        yield number, "nodes= together with select="


def _pbs_folder(script: Script) -> Found:
    if script.directives[PBS] and "PBS_O_WORKDIR" not in script.text:
        yield 0, "the job starts in the home folder, not where it was submitted"


def _environment(script: Script) -> Found:
    for prefix, pattern in (
        (SGE, r"-V\b"),
        (PBS, r"-V\b"),
        (SLURM, r"--export[= ]ALL"),
    ):
        for number, match in script.options(prefix, pattern):
            yield (
                number,
                f"{match[0]}: the job depends on who submits it, and from where",
            )


TRAPS = (
    Trap("memory-twice", _memory_twice, "keep one of them"),
    Trap("short-time", _short_time, "write hours:minutes:seconds: 1:30:00"),
    Trap("no-time", _no_time, "give a limit"),
    Trap("missing-folder", _missing_folder, "make it before you submit: mkdir -p"),
    Trap("two-schedulers", _two_schedulers, "one script for each scheduler"),
    Trap("late-directive", _late_directive, "move it above the first command"),
    Trap("near-directive", _near_directive, "begin the line with #SBATCH, #PBS, #BSUB"),
    Trap("unexpanded", _unexpanded, "write the value, or give it at submission"),
    Trap("carriage-return", _carriage_return, "sed -i 's/\\r$//' SCRIPT"),
    Trap("no-nodes", _no_nodes, "add --nodes and --ntasks-per-node"),
    Trap(
        "srun-mpi", _srun_mpi, "--mpi=pmix for Open MPI, pmi2 for MPICH and Intel MPI"
    ),
    Trap("srun-cpus", _srun_cpus, "repeat it, or export SRUN_CPUS_PER_TASK"),
    Trap("srun-kill", _srun_kill, "add --kill-on-bad-exit=1"),
    Trap("threads", _threads, "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK"),
    Trap("hardware-threads", _hardware_threads, "use --hint=nomultithread"),
    Trap("array-limit", _array_limit, "split the array, or give elements more work"),
    Trap("signal", _signal, "trap 'kill -USR1 $pid' USR1, and --signal=B:USR1@..."),
    Trap("lost-code", _lost_code, "keep it: code=$?, and exit $code at the end"),
    Trap("grid-engine-comment", _grid_engine_comment, "put a blank after the #"),
    Trap("grid-engine-slots", _grid_engine_slots, "add -pe ENVIRONMENT SLOTS"),
    Trap("pbs-chunks", _pbs_chunks, "write select=N:ncpus=C:mpiprocs=R"),
    Trap("pbs-folder", _pbs_folder, 'begin with cd "$PBS_O_WORKDIR"'),
    Trap("environment", _environment, "name the variables that it needs"),
)


def lint(script: Script) -> list[Finding]:
    """Return what is wrong with `script`, by line. Local."""
    found = [
        Finding(number, trap.name, text, trap.remedy)
        for trap in TRAPS
        for number, text in trap.find(script)
    ]
    return sorted(found, key=lambda each: each.line)
