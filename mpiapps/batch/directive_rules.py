"""How the traps in directives are found; each yields lines, and what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mpiapps.batch.scheduler import TABLE
from mpiapps.batch.script import Script

Found = Iterator[tuple[int, str]]
SLURM, SGE, PBS, LSF = "slurm", "sge", "pbs", "lsf"
MEMORIES = ("--mem", "--mem-per-cpu", "--mem-per-gpu")
LIMITS = {SLURM: "--time", SGE: "-l h_rt", PBS: "-l walltime", LSF: "-W"}
OUTPUTS = {
    SLURM: ("--output", "--error"),
    SGE: ("-o", "-e"),
    PBS: ("-o", "-e"),
    LSF: ("-o", "-oo", "-e", "-eo"),
}
# A number alone counts MiB: below these, GiB were meant.
SMALL = {"--mem": 1000, "--mem-per-cpu": 100, "--mem-per-gpu": 1000}


def no_interpreter(script: Script) -> Found:
    """Find a Slurm script whose first line names no interpreter."""
    if script.directives[SLURM] and not script.text.startswith("#!"):
        yield 1, "the first line is not #!: sbatch refuses the script"


def not_accepted(script: Script) -> Found:
    """Find what sbatch, qsub or bsub refuses: options, values, stray words."""
    for found in script.directives.values():
        for each in found:
            if each.fault:
                yield each.line, each.fault


def memory_twice(script: Script) -> Found:
    """Find memory of one part that is asked for in two ways."""
    first: dict[int, str] = {}
    for each in script.options(SLURM, *MEMORIES):
        other = first.setdefault(each.part, each.name)
        if other != each.name:
            yield each.line, f"{each.name} together with {other}: sbatch refuses both"


def memory_unit(script: Script) -> Found:
    """Find memory that is too small to be meant in MiB."""
    for each in script.options(SLURM, *MEMORIES):
        if each.value.isdigit() and 0 < int(each.value) < SMALL[each.name]:
            yield each.line, f"{each.name} {each.value} is {each.value} MiB"


def short_time(script: Script) -> Found:
    """Find limits that count minutes and seconds."""
    for scheduler in (SLURM, PBS):
        for each in script.options(scheduler, LIMITS[scheduler]):
            if re.fullmatch(r"\d+:\d+", each.value):
                minutes, seconds = each.value.split(":")
                yield each.line, f"{each.value} is {minutes} min {seconds} s"


def no_time(script: Script) -> Found:
    """Find that there is no limit."""
    for scheduler, name in LIMITS.items():
        if script.directives[scheduler] and not script.options(scheduler, name):
            yield 0, "no time limit: the queue's default holds, and backfill is lost"


def missing_folder(script: Script) -> Found:
    """Find output in folders that do not exist."""
    for scheduler, names in OUTPUTS.items():
        for each in script.options(scheduler, *names):
            folder, slash, _ = each.value.rpartition("/")
            if re.search(r"[%$^~:]", folder) or not slash:
                continue  # known to the job alone
            if not (script.folder / (folder or "/")).is_dir():
                text = f"the folder {folder} does not exist: no output, no reason"
                yield each.line, text


def two_schedulers(script: Script) -> Found:
    """Find directives that sbatch reads beside its own."""
    for other in (PBS, LSF):
        if script.directives[SLURM] and script.directives[other]:
            text = f"{TABLE[other].prefix} beside #SBATCH: sbatch reads both"
            yield script.directives[other][0].line, text


def late_directive(script: Script) -> Found:
    """Find directives after the first command."""
    for number in script.late:
        text = f"after the first command (line {script.first_command}): it is ignored"
        yield number, text


def near_directive(script: Script) -> Found:
    """Find comments that were meant to be directives."""
    # `##SBATCH` is how people switch a directive off.
    near = (
        r"#[ \t]+(SBATCH|PBS|BSUB)\s+-|\s+#(SBATCH|BSUB)\s+-|#(?i:sbatch|pbs|bsub)\s+-"
    )
    for number, line in script.lines:
        if re.match(near, line) and not re.match("#(SBATCH|PBS|BSUB)", line):
            yield number, "looks like a directive, and is a comment"


def unexpanded(script: Script) -> Found:
    """Find variables in directives."""
    for scheduler in (SLURM, LSF, PBS):
        for each in script.directives[scheduler]:
            found = re.search(r"\$\{?\w+", each.text)
            if found and not (scheduler == PBS and "$PBS_" in each.text):
                text = f"{found[0]}: variables are not replaced in a directive"
                yield each.line, text


def carriage_return(script: Script) -> Found:
    """Find the first line that ends as lines of Windows do."""
    for number, line in enumerate(script.text.split("\n"), 1):
        if line.endswith("\r"):
            yield number, "ends in a carriage return: the scheduler or bash refuses it"
            return


def no_nodes(script: Script) -> Found:
    """Find ranks on an unknown number of hosts."""
    for each in script.options(SLURM, "--ntasks"):
        nodes = script.value(SLURM, "--nodes", each.part)
        if each.value.isdigit() and int(each.value) > 1 and not nodes:
            yield each.line, "ranks without --nodes: they may spread over any hosts"


def hardware_threads(script: Script) -> Found:
    """Find ranks on hardware threads."""
    shares = {"--hint": "multithread", "--ntasks-per-core": "2"}
    shares |= {"--threads-per-core": "2"}
    for each in script.options(SLURM, *shares):
        if each.value == shares[each.name]:
            yield each.line, f"{each.text}: ranks or threads share a core's arithmetic"
    for number, _ in script.calls(r"--(use-hwthread-cpus|map-by hwthread)"):
        yield number, "ranks on hardware threads share a core's arithmetic"


def array_limit(script: Script) -> Found:
    """Find arrays that the scheduler refuses."""
    for each in script.options(SLURM, "--array"):
        numbers = re.findall(r"\d+", re.sub(r"[:%]\d+", "", each.value))
        most = max(map(int, numbers), default=0)
        if most >= script.max_array:
            limit = script.max_array - 1
            yield each.line, f"index {most} is over MaxArraySize - 1 = {limit}"
    for each in script.options(PBS, "-J"):
        span = re.match(r"(\d+)-(\d+)", each.value)
        if span and int(span[1]) >= int(span[2]):
            yield each.line, "PBS has no array of one element"


def signal(script: Script) -> Found:
    """Find warnings that reach nobody, or kill."""
    trap = re.search(r"^\s*(trap|job_run)\s", script.text, re.MULTILINE)
    mpiexec = list(script.calls(r"(^|[\s/])(mpirun|mpiexec)\s"))
    for each in script.options(SLURM, "--signal"):
        to_script = "B" in each.value.partition(":")[0] and ":" in each.value
        if to_script and not trap:
            yield each.line, "--signal=B: without a trap kills the script"
        if not to_script and mpiexec:
            text = "without B: the signal goes to srun's steps; mpiexec has none"
            yield each.line, text
    for each in script.options(SGE, "-notify"):
        yield each.line, "-notify sends USR2, of which Hydra's mpiexec dies"


def grid_engine_comment(script: Script) -> Found:
    """Find comments that Grid Engine takes for options."""
    for number, line in script.lines:
        if re.match(r"#\$[^\s-]", line) and script.directives[SGE]:
            yield number, "Grid Engine reads every line that begins with #$"


def pbs_chunks(script: Script) -> Found:
    """Find chunks of PBS without ranks, or beside the old way."""
    chunks = script.options(PBS, "-l select")
    for each in chunks:
        if "mpiprocs" not in each.value:
            text = "select without mpiprocs: one line for each chunk's host"
            yield each.line, text
    for each in script.options(PBS, "-l nodes") if chunks else []:
        yield each.line, "nodes= together with select="


def environment(script: Script) -> Found:
    """Find that the whole environment is handed over."""
    everything = [*script.options(SGE, "-V"), *script.options(PBS, "-V")]
    exports = script.options(SLURM, "--export")
    everything += [each for each in exports if "ALL" in each.value.split(",")]
    for each in everything:
        text = f"{each.text}: the job depends on who submits it, and from where"
        yield each.line, text
