"""Probe of containers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mpiapps.diagnostics.probe import ERROR, LIKELY, Finding, NotApplicable, probe
from mpiapps.diagnostics.system import System

PMIX_VERSION = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.PMIx_Get_version.restype = ctypes.c_char_p
print(library.PMIx_Get_version().decode())
"""


@probe(
    "container-pmix",
    examines="PMIx of the launcher's host against PMIx in the container",
    symptom="`PMIX ERROR: TEMPORARILY UNAVAILABLE`, or a hang in MPI_Init",
)
def container_pmix(system: System) -> Iterator[Finding]:
    """Find a container whose PMIx has another major version than the host's."""
    host = system.environ.get("PMIX_VERSION", "")
    if not system.is_container() or not host:
        raise NotApplicable("not in a container that a PMIx launcher has started")
    if not system.library.path:
        raise NotApplicable("no MPI library in the container")
    directory = Path(system.library.path).parent
    files = [*directory.glob("**/libpmix.so*"), *directory.glob("../**/libpmix.so.2")]
    inside = system.python(PMIX_VERSION, str(files[0])).text if files else ""
    match = re.search(r"(\d+)\.\d+", inside)
    if match and match[1] != host.partition(".")[0]:
        yield Finding(
            ERROR,
            f"the host has PMIx {host}, the container {inside.strip()}",
            "The ranks may hang or abort in MPI_Init.",
            "use an image with PMIx "
            f"{host.partition('.')[0]}, or start the ranks by the mpiexec inside the"
            " container",
            LIKELY,
        )
