"""The known traps in job scripts that people already have: for `mpiapps lint`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mpiapps.batch import directive_rules, launch_rules
from mpiapps.batch.directive_rules import Found
from mpiapps.batch.script import Script


@dataclass(frozen=True)
class Rule:
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


RULES = (
    Rule("no-interpreter", directive_rules.no_interpreter, "begin with #!/bin/bash"),
    Rule(
        "not-accepted",
        directive_rules.not_accepted,
        "correct it, or begin the line with ##",
    ),
    Rule("memory-twice", directive_rules.memory_twice, "keep one of them"),
    Rule("memory-unit", directive_rules.memory_unit, "write the unit: G or M"),
    Rule(
        "short-time", directive_rules.short_time, "write hours:minutes:seconds: 1:30:00"
    ),
    Rule("no-time", directive_rules.no_time, "give a limit"),
    Rule(
        "missing-folder",
        directive_rules.missing_folder,
        "make it before you submit: mkdir -p",
    ),
    Rule(
        "two-schedulers",
        directive_rules.two_schedulers,
        "one script for each scheduler",
    ),
    Rule(
        "late-directive",
        directive_rules.late_directive,
        "move it above the first command",
    ),
    Rule(
        "near-directive",
        directive_rules.near_directive,
        "begin the line with #SBATCH, #PBS, #BSUB",
    ),
    Rule(
        "unexpanded",
        directive_rules.unexpanded,
        "write the value, or give it at submission",
    ),
    Rule(
        "carriage-return", directive_rules.carriage_return, "sed -i 's/\\r$//' SCRIPT"
    ),
    Rule("no-nodes", directive_rules.no_nodes, "add --nodes and --ntasks-per-node"),
    Rule(
        "srun-mpi",
        launch_rules.srun_mpi,
        "--mpi=pmix for Open MPI, pmi2 for MPICH and Intel MPI",
    ),
    Rule(
        "srun-cpus", launch_rules.srun_cpus, "repeat it, or export SRUN_CPUS_PER_TASK"
    ),
    Rule("srun-kill", launch_rules.srun_kill, "add --kill-on-bad-exit=1"),
    Rule(
        "threads", launch_rules.threads, "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK"
    ),
    Rule(
        "hardware-threads", directive_rules.hardware_threads, "use --hint=nomultithread"
    ),
    Rule(
        "array-limit",
        directive_rules.array_limit,
        "split the array, or give elements more work",
    ),
    Rule(
        "signal",
        directive_rules.signal,
        "trap 'kill -USR1 $pid' USR1, and --signal=B:USR1@...",
    ),
    Rule(
        "lost-code",
        launch_rules.lost_code,
        "keep it: code=$?, and exit $code at the end",
    ),
    Rule(
        "grid-engine-comment",
        directive_rules.grid_engine_comment,
        "put a blank after the #",
    ),
    Rule(
        "grid-engine-slots", launch_rules.grid_engine_slots, "add -pe ENVIRONMENT SLOTS"
    ),
    Rule("pbs-chunks", directive_rules.pbs_chunks, "write select=N:ncpus=C:mpiprocs=R"),
    Rule("pbs-folder", launch_rules.pbs_folder, 'begin with cd "$PBS_O_WORKDIR"'),
    Rule(
        "environment", directive_rules.environment, "name the variables that it needs"
    ),
)


def lint(script: Script) -> list[Finding]:
    """Return what is wrong with `script`, by line."""
    found = [
        Finding(number, trap.name, text, trap.remedy)
        for trap in RULES
        for number, text in trap.find(script)
    ]
    return sorted(found, key=lambda each: each.line)
