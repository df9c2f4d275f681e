"""First job script: the request, and the start of all ranks."""

import re

from mpiapps.base.units import parse_size
from mpiapps.batch.lint import LAUNCHER, lint
from mpiapps.batch.parsed_script import Script
from mpiapps.batch.scheduler import syntaxes
from mpiapps.learn.exercise import Exercise, Wrong

SLURM = "slurm"
MINUTES = r"(?:0-)?(?:0?0:)?10(?::00)?|0?0:10:00|0-0?0:10(?::00)?"
# Findings of lint that are worth a hint before the request is looked at.
FIRST = ("not-accepted", "near-directive", "late-directive", "carriage-return")


def examine_text(text: str) -> None:
    """Raise `Wrong` unless the script asks for what the task says, and starts it."""
    findings = lint(text)
    for finding in findings:
        if finding.rule in FIRST:
            raise Wrong(f"line {finding.line}: {finding.text}", finding.remedy)
    script = Script(text, syntaxes())
    if not script.directives[SLURM]:
        raise Wrong(
            "the script has no directives",
            "a directive is a line such as #SBATCH --nodes=2, without a space after #,"
            " above the first command",
        )
    _request(script)
    _launch(script)
    for finding in findings:
        raise Wrong(f"line {finding.line}: {finding.text}", finding.remedy)


def _request(script: Script) -> None:
    def value(*names: str) -> str:
        return next((v for n in names if (v := script.value(SLURM, n))), "")

    nodes, each, total = value("--nodes"), value("--ntasks-per-node"), value("--ntasks")
    if nodes != "2":
        raise Wrong(f"--nodes is {nodes or 'missing'}", "ask for 2 nodes: --nodes=2")
    if each != "4" and total != "8":
        raise Wrong(
            f"--ntasks-per-node is {each or 'missing'}",
            "4 tasks per node, --ntasks-per-node=4: a task of Slurm is a rank of MPI",
        )
    if total not in ("", "8"):
        raise Wrong(f"--ntasks is {total}", "2 nodes with 4 tasks each have 8 tasks")
    if value("--cpus-per-task") not in ("", "1"):
        raise Wrong("a task has several CPUs", "this program has no threads: 1 CPU")
    _time(value("--time"))
    _memory(value("--mem-per-cpu"), value("--mem"))
    if value("--job-name") != "hello":
        raise Wrong("the job's name is not hello", "--job-name=hello")


def _time(time: str) -> None:
    if re.fullmatch(MINUTES, time):
        return
    what = f"--time is {time or 'missing'}"
    if time in ("10:00:00", "10:00:00:00") or time.startswith("10-"):
        raise Wrong(what, "that is ten hours or days; ten minutes are 00:10:00")
    raise Wrong(
        what,
        "ten minutes are 00:10:00 (hours:minutes:seconds); short jobs start earlier",
    )


def _memory(per_cpu: str, per_node: str) -> None:
    text, right = (per_cpu, 2) if per_cpu else (per_node, 8)
    try:
        size = parse_size(text if text[-1:].isalpha() else f"{text}M") if text else 0
    except ValueError:
        size = -1
    if size == right << 30:
        return
    if text in ("2", "8"):
        hint = "a number without a unit is in MiB: write 2G"
    elif per_node == "2G":
        hint = "--mem is the memory of a node, which has 4 ranks: --mem-per-cpu=2G"
    else:
        hint = "2 GiB per CPU: --mem-per-cpu=2G"
    raise Wrong(f"the memory is {text or 'not given'}", hint)


def _launch(script: Script) -> None:
    lines = [(n, line) for n, line in script.commands if "01_hello.py" in line]
    if not lines:
        raise Wrong("no line starts 01_hello.py", 'end with mpiexec -n "$SLURM_NTASKS"'
                    " python 01_hello.py")  # fmt: skip
    number, line = lines[-1]
    if not re.search(LAUNCHER, line):
        raise Wrong(
            f"line {number} starts one process on the first node: {line}",
            'mpiexec -n "$SLURM_NTASKS" (or srun) in front starts it on all 8 ranks; a'
            " job script itself runs once, on the first node",
        )
    if (count := re.search(r"\s(?:-n|-np|--ntasks)[ =]?(\d+)", line)) and count[
        1
    ] != "8":
        raise Wrong(
            f"line {number} starts {count[1]} ranks of 8: {line}",
            'mpiexec -n "$SLURM_NTASKS" follows the request, whatever it is',
        )
    if line.rstrip().endswith("&"):
        raise Wrong(f"line {number} ends with &", "the job ends with its script: no &")


EXERCISE = Exercise("First job script", "14_job.sh", runs=(), examine_text=examine_text)
