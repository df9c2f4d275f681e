"""Probes that start ranks; only `mpiapps doctor --job` executes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from mpiapps.diagnostics.probe import ERROR, WARNING, Finding, NotApplicable, probe
from mpiapps.diagnostics.system import Outcome, System
from mpiapps.launch.mpiexec import Mpiexec, command_line

LIMIT = 20.0  # s
# Intel MPI spawns only if asked to: without it the call is a segmentation fault.
SPAWN_VARIABLES = {"I_MPI_SPAWN": "on"}
# One write per line: the launcher does not mix the ranks' output within it.
SIZE = """
import os
from mpi4py import MPI
os.write(1, b"size %d\\n" % MPI.COMM_WORLD.size)
"""
CHILD = "from mpi4py import MPI; MPI.Comm.Get_parent().Disconnect()"
SPAWN = """
import sys
from mpi4py import MPI
MPI.COMM_SELF.Spawn(sys.executable, ["-c", sys.argv[1]], 1).Disconnect()
print("spawned", flush=True)
"""


@probe(
    "launch",
    examines="the size of a world of 2 ranks, started by the library's mpiexec",
    symptom="N times `rank 0 of 1`; mpiexec does not start",
    starts_mpi=True,
    limit=LIMIT + 2,
)
def launch(system: System) -> Iterator[Finding]:
    """Start two ranks by mpiexec, and compare the size of their world."""
    outcome = _mpiexec(system, 2, ["-c", SIZE])
    sizes = re.findall(r"size (\d+)", outcome.text)
    if sizes == ["2", "2"]:
        return
    if sizes:
        found = f"the ranks report a world of size {', '.join(sizes)}"
        meaning = "Launcher and library have different start-up protocols."
    else:
        found = f"mpiexec -n 2 fails: {_last(outcome)}"
        meaning = "No program can start here."
    own = system.library.mpiexec
    yield Finding(
        ERROR, found, meaning, f"repair the first error of: {own} -n 2 hostname"
    )


@probe(
    "spawn",
    examines="MPI_Comm_spawn of one process",
    symptom="mpi4py.futures: a pool hangs",
    starts_mpi=True,
    limit=LIMIT + 2,
)
def spawn(system: System) -> Iterator[Finding]:
    """Spawn a process with a time limit."""
    outcome = _mpiexec(_with(system, SPAWN_VARIABLES), 1, ["-c", SPAWN, CHILD])
    if "spawned" in outcome.text:
        return
    yield Finding(
        WARNING,
        f"MPI_Comm_spawn fails: {_last(outcome)}",
        "mpi4py.futures.MPIPoolExecutor in a single process hangs or fails.",
        "start the pool's workers with the program: mpiexec -n N python -m"
        " mpi4py.futures script.py, or use mpiapps.tasks.mpi_pool",
    )


def _mpiexec(system: System, ntasks: int, argv: Sequence[str]) -> Outcome:
    library = system.library
    if not library.mpiexec:
        raise NotApplicable("the MPI library has no mpiexec")
    launcher = Mpiexec(library.family, str(library), library.mpiexec)
    command, variables = command_line(launcher, ntasks, argv)
    return _with(system, variables).run(command, LIMIT)


def _with(system: System, variables: Mapping[str, str]) -> System:
    return System(environ={**system.environ, **variables}, library=system.library)


def _last(outcome: Outcome) -> str:
    lines = [line for line in outcome.text.splitlines() if line.strip(" -")]
    return (lines or [f"exit code {outcome.code}"])[-1][:300]
