"""The mpiexec of the loaded MPI library, with the options that this machine needs."""

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
from mpiapps.base.threads import physical_cores
from mpiapps.launch.mpi_wheels import DOCTOR, no_library, refuse_two_mpi_wheels

# Runs in a process of its own, so that this one never loads MPI.
QUERY_LIBRARY = """
import json, mpi4py
mpi4py.rc.initialize = False
from mpiapps.launch.mpi_library import loaded_library
library = loaded_library()
print(json.dumps([library.family.name, str(library), library.mpiexec]))
"""


@dataclass(frozen=True)
class Workaround:
    """Arguments and variables that an mpiexec needs under some condition. Local."""

    arguments: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


# (family, condition) -> workaround. MPICH and Intel MPI need none to run as root or
# oversubscribed; Intel MPI would pin ranks to shared cores, though, and its waiting
# ranks would spin: three on two busy cores take up to ten times as long.
WORKAROUNDS: Mapping[tuple[str, str], Workaround] = {
    ("Open MPI", "root"): Workaround(
        variables=(
            ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
            ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        )
    ),
    ("Open MPI", "oversubscribed"): Workaround(
        ("--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"),
        (("OMPI_MCA_mpi_yield_when_idle", "1"),),
    ),
    # Else the rank, and all processes that it starts, would be bound to one core.
    ("Open MPI", "single rank"): Workaround(("--bind-to", "none")),
    ("Open MPI", "unbound"): Workaround(("--bind-to", "none")),
    # A seccomp filter of a container; Open MPI only checks the kernel's settings.
    ("Open MPI", "no cross-memory attach"): Workaround(
        variables=(
            ("OMPI_MCA_btl_vader_single_copy_mechanism", "none"),
            ("OMPI_MCA_smsc", "^cma"),
        )
    ),
    ("Intel MPI", "oversubscribed"): Workaround(
        variables=(("I_MPI_PIN", "0"), ("I_MPI_WAIT_MODE", "1"))
    ),
    ("Intel MPI", "unbound"): Workaround(variables=(("I_MPI_PIN", "0"),)),
}


@dataclass(frozen=True)
class Mpiexec:
    """An mpiexec and its MPI library. Local."""

    family: str
    library: str
    mpiexec: str


def find_launcher() -> Mpiexec:
    """Return the mpiexec of the library that mpi4py loads. Local.

    Raises
    ------
    LaunchError
        If no library can be loaded, there are two, or it has no mpiexec.
    """
    refuse_two_mpi_wheels()
    query = subprocess.run(
        [sys.executable, "-c", QUERY_LIBRARY],
        capture_output=True,
        text=True,
        check=False,
    )
    if query.returncode != 0:
        raise no_library((query.stderr.strip().splitlines() or ["unknown error"])[-1])
    family, library, mpiexec = json.loads(query.stdout)
    if mpiexec is None:
        raise LaunchError(
            f"{library} is loaded, but there is no mpiexec beside it or on PATH; load"
            f" the module that provides both. {DOCTOR}"
        )
    return Mpiexec(family, library, mpiexec)


def conditions(ntasks: int, unbound: bool = False) -> list[str]:
    """Return the conditions of `WORKAROUNDS` that hold. Local.

    `unbound`: ranks may use all cores, as for several threads or several mpiexec.
    """
    single, oversubscribed = ntasks == 1, ntasks > physical_cores()
    holds = {
        "root": os.geteuid() == 0,
        "single rank": single,
        "oversubscribed": oversubscribed,
        # The other two do the same.
        "unbound": unbound and not single and not oversubscribed,
        "no cross-memory attach": not can_read_memory(),
    }
    return [name for name, true in holds.items() if true]


def can_read_memory() -> bool:
    """Return whether this process may call ``man 2 process_vm_readv``. Local.

    Ranks use it to copy messages from each other's memory. It is tried on this process
    itself, where only a seccomp filter forbids it.
    """
    call = getattr(ctypes.CDLL(None), "process_vm_readv", None)
    if call is None:
        return False
    buffers = ctypes.create_string_buffer(1), ctypes.create_string_buffer(b"x", 1)
    target, source = ((ctypes.c_size_t * 2)(ctypes.addressof(b), 1) for b in buffers)
    return int(call(os.getpid(), target, 1, source, 1, 0)) == 1


def command_line(
    launcher: Mpiexec,
    ntasks: int,
    argv: Sequence[str],
    *,
    is_python: bool = True,
    unbound: bool = False,
) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs Python with `argv` on `ntasks` ranks. Local.

    Without `is_python`, `argv` is a command of its own. `unbound`: see `conditions`.

    Returns
    -------
    command : list of str
        For the current Python interpreter.
    variables : dict
        Environment variables to set, without those that the user has set.
    """
    workarounds = [
        WORKAROUNDS[key]
        for condition in conditions(ntasks, unbound)
        if (key := (launcher.family, condition)) in WORKAROUNDS
    ]
    arguments = [text for each in workarounds for text in each.arguments]
    variables = dict(pair for each in workarounds for pair in each.variables)
    python = [sys.executable] if is_python else []
    command = [launcher.mpiexec, *arguments, "-n", str(ntasks), *python, *argv]
    unset = {name: text for name, text in variables.items() if name not in os.environ}
    return command, unset


def exec_launcher(command: list[str], variables: Mapping[str, str]) -> NoReturn:
    """Replace this process with mpiexec. Local.

    Open MPI's mpiexec fails if there is a directory ``ompi.PID`` with its own pid, left
    by a killed one: then it gets another temporary directory.
    """
    tmpdir = {}
    if (Path(tempfile.gettempdir()) / f"ompi.{os.getpid()}").exists():
        tmpdir["PRTE_MCA_prte_tmpdir_base"] = tempfile.mkdtemp(prefix="ompi-")
    os.execve(command[0], command, {**os.environ, **variables, **tmpdir})
