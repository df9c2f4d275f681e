"""Broken hosts for the tests: environments and directories that a probe examines."""

import os
from pathlib import Path

from mpiapps.diagnostics.library import MpiLibrary
from mpiapps.diagnostics.probe import NotApplicable, all_probes
from mpiapps.diagnostics.system import System

OPENMPI = MpiLibrary("Open MPI", "5.0.11", "/x/lib/libmpi.so.40", "/x/bin/mpiexec")
MPICH = MpiLibrary("MPICH", "5.0.2", "/x/lib/libmpi.so.12", "/x/bin/mpiexec")
IMPI = MpiLibrary("Intel MPI", "2021.18", "/x/lib/libmpi.so", "/x/bin/mpiexec")


def probe(name):
    return next(each for each in all_probes() if each.name == name)


def findings(name, **attributes):
    """Return the findings of a probe on a host; none if it is not applicable."""
    attributes = {"environ": {}, "library": OPENMPI} | attributes
    try:
        return probe(name)(System(**attributes))
    except NotApplicable:
        return []


def finding(name, **attributes):
    """Return the only finding of a probe."""
    found = findings(name, **attributes)
    assert len(found) == 1, found
    return found[0]


def command(directory: Path, name: str, script: str) -> dict[str, str]:
    """Put a real script first on PATH; return that environment."""
    path = directory / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{path.parent}:{os.defpath}"}


def write(root: Path, name: str, text: str) -> Path:
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
