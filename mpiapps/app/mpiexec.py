"""The mpiexec that belongs to the loaded MPI library, with what this machine needs."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mpiapps.base.errors import LaunchError
from mpiapps.base.mpi_wheels import no_library, refuse_two_mpi_wheels
from mpiapps.base.threads import physical_cores

# Asks the library in a process of its own, so that this one never loads MPI.
ASK = """
import json, mpi4py
mpi4py.rc.initialize = False
from mpiapps.comm.library import loaded_library
library = loaded_library()
print(json.dumps([library.family.name, str(library), library.mpiexec]))
"""


@dataclass(frozen=True)
class Needs:
    """What one MPI's mpiexec wants in a situation: arguments and variables."""

    arguments: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


# (family, situation) -> what it takes. MPICH and Intel MPI run as root and with more
# ranks than cores without being told; pinned ranks would share cores, though.
NEEDS: Mapping[tuple[str, str], Needs] = {
    ("Open MPI", "root"): Needs(
        variables=(
            ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
            ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        )
    ),
    ("Open MPI", "oversubscribed"): Needs(
        ("--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"),
        (("OMPI_MCA_mpi_yield_when_idle", "1"),),
    ),
    # It would have one core, and so would all that it starts.
    ("Open MPI", "alone"): Needs(("--bind-to", "none")),
    # As some containers have it; Open MPI asks the kernel's settings, not a filter.
    ("Open MPI", "memory of others forbidden"): Needs(
        variables=(
            ("OMPI_MCA_btl_vader_single_copy_mechanism", "none"),
            ("OMPI_MCA_smsc", "^cma"),
        )
    ),
    ("Intel MPI", "oversubscribed"): Needs(variables=(("I_MPI_PIN", "0"),)),
}


@dataclass(frozen=True)
class Launcher:
    """An mpiexec, and the MPI it belongs to."""

    family: str
    library: str
    mpiexec: str


def find_launcher() -> Launcher:
    """Return the mpiexec that belongs to the library mpi4py loads. Local.

    Raises
    ------
    LaunchError
        If no library can be loaded, there are two, or it comes without an mpiexec.
    """
    refuse_two_mpi_wheels()
    answer = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise no_library(last)
    family, library, mpiexec = json.loads(answer.stdout)
    if mpiexec is None:
        raise LaunchError(
            f"{library} is loaded, but no mpiexec is beside it or on PATH; load the"
            " module that brings both"
        )
    return Launcher(family, library, mpiexec)


def situations(ntasks: int) -> list[str]:
    """Return which of the situations of `NEEDS` this machine is in. Local."""
    here = {
        "root": os.geteuid() == 0,
        "alone": ntasks == 1,
        "oversubscribed": ntasks > physical_cores(),
        "memory of others forbidden": not can_read_memory(),
    }
    return [name for name, holds in here.items() if holds]


def can_read_memory() -> bool:
    """Return whether ``man 2 process_vm_readv`` is open to this process. Local.

    By it one rank copies a message out of another's memory, at once and while the other
    computes. It is tried on this process itself: only a filter forbids that.
    """
    call = getattr(ctypes.CDLL(None), "process_vm_readv", None)
    if call is None:
        return False
    source, target = (
        ctypes.create_string_buffer(b"x", 1),
        ctypes.create_string_buffer(1),
    )
    here = [(ctypes.c_size_t * 2)(ctypes.addressof(b), 1) for b in (target, source)]
    return int(call(os.getpid(), here[0], 1, here[1], 1, 0)) == 1


def command_line(
    launcher: Launcher, ntasks: int, words: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs Python with `words` on `ntasks` ranks. Local.

    Returns
    -------
    command : list of str
        For the current Python interpreter.
    variables : dict
        What must be set for it; what the user has set already is left out.
    """
    needs = [
        NEEDS[key]
        for situation in situations(ntasks)
        if (key := (launcher.family, situation)) in NEEDS
    ]
    arguments = [word for need in needs for word in need.arguments]
    variables = dict(pair for need in needs for pair in need.variables)
    command = [launcher.mpiexec, *arguments, "-n", str(ntasks), sys.executable, *words]
    unset = {name: text for name, text in variables.items() if name not in os.environ}
    return command, unset


def become(command: list[str], variables: Mapping[str, str]) -> NoReturn:
    """Let mpiexec take this process over, and not return. Local.

    Open MPI's mpiexec ends at once if there is a folder ``ompi.PID`` with its own
    number, left by one that was killed: then it gets another place for its own.
    """
    fresh = {}
    if (Path(tempfile.gettempdir()) / f"ompi.{os.getpid()}").exists():
        fresh["PRTE_MCA_prte_tmpdir_base"] = tempfile.mkdtemp(prefix="ompi-")
    os.execve(command[0], command, {**os.environ, **variables, **fresh})
