"""The known traps in job scripts that people already have: for `mpiapps lint`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mpiapps.batch import launch_traps, traps
from mpiapps.batch.script import Script
from mpiapps.batch.traps import Found


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


TRAPS = (
    Trap("no-interpreter", traps.no_interpreter, "begin with #!/bin/bash"),
    Trap("not-accepted", traps.not_accepted, "correct it, or begin the line with ##"),
    Trap("memory-twice", traps.memory_twice, "keep one of them"),
    Trap("memory-unit", traps.memory_unit, "write the unit: G or M"),
    Trap("short-time", traps.short_time, "write hours:minutes:seconds: 1:30:00"),
    Trap("no-time", traps.no_time, "give a limit"),
    Trap("missing-folder", traps.missing_folder, "make it before you submit: mkdir -p"),
    Trap("two-schedulers", traps.two_schedulers, "one script for each scheduler"),
    Trap("late-directive", traps.late_directive, "move it above the first command"),
    Trap(
        "near-directive",
        traps.near_directive,
        "begin the line with #SBATCH, #PBS, #BSUB",
    ),
    Trap("unexpanded", traps.unexpanded, "write the value, or give it at submission"),
    Trap("carriage-return", traps.carriage_return, "sed -i 's/\\r$//' SCRIPT"),
    Trap("no-nodes", traps.no_nodes, "add --nodes and --ntasks-per-node"),
    Trap(
        "srun-mpi",
        launch_traps.srun_mpi,
        "--mpi=pmix for Open MPI, pmi2 for MPICH and Intel MPI",
    ),
    Trap(
        "srun-cpus", launch_traps.srun_cpus, "repeat it, or export SRUN_CPUS_PER_TASK"
    ),
    Trap("srun-kill", launch_traps.srun_kill, "add --kill-on-bad-exit=1"),
    Trap(
        "threads", launch_traps.threads, "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK"
    ),
    Trap("hardware-threads", traps.hardware_threads, "use --hint=nomultithread"),
    Trap(
        "array-limit", traps.array_limit, "split the array, or give elements more work"
    ),
    Trap(
        "signal", traps.signal, "trap 'kill -USR1 $pid' USR1, and --signal=B:USR1@..."
    ),
    Trap(
        "lost-code",
        launch_traps.lost_code,
        "keep it: code=$?, and exit $code at the end",
    ),
    Trap("grid-engine-comment", traps.grid_engine_comment, "put a blank after the #"),
    Trap(
        "grid-engine-slots", launch_traps.grid_engine_slots, "add -pe ENVIRONMENT SLOTS"
    ),
    Trap("pbs-chunks", traps.pbs_chunks, "write select=N:ncpus=C:mpiprocs=R"),
    Trap("pbs-folder", launch_traps.pbs_folder, 'begin with cd "$PBS_O_WORKDIR"'),
    Trap("environment", traps.environment, "name the variables that it needs"),
)


def lint(script: Script) -> list[Finding]:
    """Return what is wrong with `script`, by line. Local."""
    found = [
        Finding(number, trap.name, text, trap.remedy)
        for trap in TRAPS
        for number, text in trap.find(script)
    ]
    return sorted(found, key=lambda each: each.line)
