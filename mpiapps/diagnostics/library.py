"""The MPI library that mpi4py loads, found out in a child process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from mpiapps.base.python_child import run_python

# Loads MPI and does not start it. The module's path tells for which ABI it was built.
QUERY = """
import json, mpi4py
mpi4py.rc.initialize = False
from mpi4py import MPI
from mpiapps.launch.mpi_library import loaded_library
library = loaded_library()
print(json.dumps([library.family.name, library.version, str(library.path or ""),
                  library.mpiexec or "", MPI.__file__]))
"""


@dataclass(frozen=True)
class MpiLibrary:
    """The loaded MPI library; without one, `error` is the reason.

    Attributes
    ----------
    family : str
        ``Open MPI``, ``MPICH``, ``Intel MPI`` or ``MPI`` (unknown).
    mpiexec : str
        The launcher installed with it.
    module : str
        The file of ``mpi4py.MPI``.
    """

    family: str = ""
    version: str = ""
    path: str = ""
    mpiexec: str = ""
    module: str = ""
    error: str = ""

    def __str__(self) -> str:
        """Return family and version, or that there is none."""
        return f"{self.family} {self.version}".strip() or "no MPI library"

    @property
    def protocol(self) -> str:
        """The start-up protocol: PMIx (Open MPI) or PMI (MPICH and relatives)."""
        return {"Open MPI": "PMIx", "MPICH": "PMI", "Intel MPI": "PMI"}.get(
            self.family, ""
        )


def query(environ: Mapping[str, str], limit: float = 10.0) -> MpiLibrary:
    """Return the library that a Python process with `environ` loads.

    Cost: 0.3 s, in a child process.
    """
    try:
        done = run_python(["-c", QUERY], environ, limit)
    except subprocess.TimeoutExpired:
        return MpiLibrary(error=f"import of mpi4py.MPI: no answer within {limit:g} s")
    if done.returncode == 0:
        return MpiLibrary(*json.loads(done.stdout))
    return MpiLibrary(error=_reason(done.stderr) or f"exit code {done.returncode}")


def _reason(text: str) -> str:
    """Return the message of a traceback: its last unindented exception, whole."""
    lines = text.strip().splitlines()
    start = max(
        (n for n, line in enumerate(lines) if line.startswith(("Traceback", "  "))),
        default=-1,
    )
    return "\n".join(lines[start + 1 :])
