"""Find known problems in job scripts, for `mpiapps lint`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mpiapps.batch.parsed_script import Script
from mpiapps.batch.rule_types import Problems, Rule, rule
from mpiapps.batch.scheduler import schedulers, syntaxes

LAUNCHER = r"(^|[\s/(])(srun|mpirun|mpiexec)(\s|$)"


@dataclass(frozen=True)
class Finding:
    """A problem: line (0: the whole script), name of the rule, problem, remedy."""

    line: int
    rule: str
    text: str
    remedy: str


def lint(text: str, directory: Path = Path(), max_array: int = 1001) -> list[Finding]:
    """Return the problems of a script, by line.

    Parameters
    ----------
    text : str
    directory : Path
        The directory that the script is submitted from.
    max_array : int
        Slurm's MaxArraySize.
    """
    script = Script(text, syntaxes(), directory, max_array)
    findings = [
        Finding(number, rule.name, problem, rule.remedy)
        for rule in all_rules()
        for number, problem in rule.find(script)
    ]
    return sorted(findings, key=lambda finding: finding.line)


def all_rules() -> list[Rule]:
    """Return the rules for all scripts, and those of each scheduler."""
    return [
        *RULES,
        *(rule for scheduler in schedulers() for rule in scheduler.lint_rules),
    ]


@rule("not-accepted", "correct it, or begin the line with ##")
def _not_accepted(script: Script) -> Problems:
    for directives in script.directives.values():
        for directive in directives:
            if directive.fault:
                yield directive.line, directive.fault


@rule("no-time", "set a time limit")
def _no_time(script: Script) -> Problems:
    for name, syntax in syntaxes().items():
        if script.directives[name] and not script.options(name, syntax.time):
            text = "no time limit: the default of the queue applies, without backfill"
            yield 0, text


@rule("missing-directory", "create it before the submission: mkdir -p")
def _missing_directory(script: Script) -> Problems:
    for name, syntax in syntaxes().items():
        for directive in script.options(name, *syntax.outputs):
            directory, slash, _ = directive.value.rpartition("/")
            if re.search(r"[%$^~:]", directory) or not slash:
                continue  # replaced at the start of the job
            if not (script.directory / (directory or "/")).is_dir():
                text = f"directory {directory} does not exist: no output and no message"
                yield directive.line, text


@rule("late-directive", "move it above the first command")
def _late_directive(script: Script) -> Problems:
    for number in script.ignored:
        yield number, f"ignored: after the first command (line {script.first_command})"


@rule("near-directive", "begin the line with the prefix alone, such as #SBATCH")
def _near_directive(script: Script) -> Problems:
    prefixes = [syntax.prefix[1:] for syntax in syntaxes().values()]
    names = "|".join(prefix for prefix in prefixes if prefix.isalnum())
    near = rf"#[ \t]+({names})\s+-|\s+#({names})\s+-|#(?i:{names})\s+-"
    starts = "|".join(syntax.start_pattern for syntax in syntaxes().values())
    for number, line in script.lines:
        if re.match(near, line) and not re.match(starts, line):
            yield number, "a comment that looks like a directive"


@rule("unexpanded", "write the value, or set it at the submission")
def _unexpanded(script: Script) -> Problems:
    for name, syntax in syntaxes().items():
        for directive in script.directives[name]:
            variable = re.search(r"\$\{?\w+", directive.text)
            replaced = syntax.variables and re.search(syntax.variables, directive.text)
            if variable and not replaced:
                text = f"{variable[0]}: variables in directives are not replaced"
                yield directive.line, text


@rule("carriage-return", "sed -i 's/\\r$//' SCRIPT")
def _carriage_return(script: Script) -> Problems:
    for number, line in enumerate(script.text.split("\n"), 1):
        if line.endswith("\r"):
            yield number, "carriage return: the scheduler or bash rejects it"
            return


@rule("threads", "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK")
def _threads(script: Script) -> Problems:
    for name, syntax in syntaxes().items():
        option, pattern = syntax.cores
        for directive in script.options(name, option):
            multiple = re.fullmatch(pattern, directive.value)
            if multiple and "OMP_NUM_THREADS" not in script.text:
                text = "several cores per rank, but OMP_NUM_THREADS is not set"
                yield directive.line, text


@rule("hardware-threads", "use --hint=nomultithread")
def _hardware_threads(script: Script) -> Problems:
    for number, _ in script.calls(r"--(use-hwthread-cpus|map-by hwthread)"):
        yield number, "ranks on hardware threads share the units of a core"


@rule("lost-code", "keep it: code=$?, and exit $code at the end")
def _lost_code(script: Script) -> Problems:
    keeps = re.search(r"^\s*(exit\s|set -[a-z]*e|exec\s)", script.text, re.MULTILINE)
    launches = [number for number, _ in script.calls(LAUNCHER)]
    if not launches or keeps or script.commands[-1][0] <= launches[-1]:
        return
    if not script.text.splitlines()[launches[-1] - 1].endswith("\\"):
        yield launches[-1], "exit code lost: the job ends with that of a later command"


RULES = (
    *(_not_accepted, _no_time, _missing_directory, _late_directive, _near_directive),
    *(_unexpanded, _carriage_return, _threads, _hardware_threads, _lost_code),
)
