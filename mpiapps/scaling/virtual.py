"""Studies in virtual time: times of a program's model, for any number of ranks."""

from __future__ import annotations

from pathlib import Path

from mpiapps.app.program import Program, find_program
from mpiapps.app.runner import parse as parse_program
from mpiapps.base.errors import UsageError
from mpiapps.base.launch_environment import LaunchEnvironment
from mpiapps.scaling.measurement import Measurement
from mpiapps.scaling.options import StudyOptions, parse_counts
from mpiapps.scaling.study import Case, Study


def check_virtual(
    name: str, program: Program | None, options: StudyOptions, cluster: bool
) -> None:
    """Raise `UsageError` if a study cannot be in virtual time."""
    if program is None or program.virtual_seconds is None:
        raise UsageError(
            f"--virtual: {name} has no model of its run time; amdahl has one"
        )
    conflicts = {
        "--site, --scheduler and --nodes": cluster,
        "--kind throughput": options.kind == "throughput",
        "--threads": parse_counts(options.threads) != (1,),
        "--region and --useful": options.region != "total" or bool(options.useful),
        "--dry-run": options.dry_run,
    }
    for words in (words for words, given in conflicts.items() if given):
        raise UsageError(f"--virtual runs nothing on any host: omit {words}")
    if not options.ranks:
        raise UsageError("--virtual needs --ranks 1,2,4")


def virtual_case(
    study: Study, case: Case, repeat: int, _directory: Path
) -> Measurement:
    """Return the time of a case by the program's model; nothing runs."""
    program, command = find_program(study.program)
    assert program is not None  # checked by `check_virtual`
    assert program.virtual_seconds is not None
    words = study.arguments_of(case)
    options, _ = parse_program(program, words, LaunchEnvironment(), command=command)
    seconds = program.virtual_seconds(options, case.ranks, repeat)
    return Measurement(case, repeat, seconds, seconds)
