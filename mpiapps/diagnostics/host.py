"""Execute the probes on one host; describe the host for the record."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import mpiapps
from mpiapps.base.threads import usable_cores
from mpiapps.diagnostics.examine import LIMIT, examine
from mpiapps.diagnostics.library import query
from mpiapps.diagnostics.probe import Examination, Probe, all_probes
from mpiapps.diagnostics.system import System


def examined(
    environ: Mapping[str, str],
    probes: Sequence[Probe] = (),
    ntasks: int = 0,
    limit: float = LIMIT,
) -> tuple[list[Examination], System]:
    """Execute probes on this host; by default all that start no ranks."""
    selected = probes or [each for each in all_probes() if not each.starts_mpi]
    system = System(dict(environ), ntasks=ntasks, library=query(environ))
    return examine(selected, system, limit), system


def describe(system: System) -> dict[str, Any]:
    """Return versions and paths for the record."""
    return {
        "mpiapps": mpiapps.__version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "mpi": str(system.library),
        "mpi_library": system.library.path,
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "host": platform.node(),
        "cores": usable_cores(),
        "container": system.is_container(),
    }
