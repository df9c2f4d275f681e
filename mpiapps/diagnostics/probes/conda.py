"""Probe of an MPI from conda."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mpiapps.diagnostics.probe import (
    ERROR,
    LIKELY,
    WARNING,
    Finding,
    NotApplicable,
    probe,
)
from mpiapps.diagnostics.system import System

MPIS = ("openmpi", "mpich", "impi_rt", "mvapich")


@probe(
    "conda-mpi",
    examines="builds and channels of MPI and mpi4py in conda-meta",
    symptom="`libmpi.so.40` or `libmpi.so.12` not found",
)
def conda_mpi(system: System) -> Iterator[Finding]:
    """Find an ``external`` dummy without its library, and builds that do not match."""
    packages = dict(_packages(system))
    if not packages:
        raise NotApplicable("not a conda environment")
    mpis = {name: packages[name] for name in MPIS if name in packages}
    for name, package in mpis.items():
        build = str(package.get("build", ""))
        if build.startswith("external") and not system.library.family:
            yield Finding(
                ERROR,
                f"{name} is the dummy {package.get('version')}={build}, without a"
                " library, and no MPI library can be loaded",
                "conda expects the MPI of the site.",
                "load the site's MPI module before starting Python, or install the real"
                f" one: conda install -c conda-forge '{name}=*=h*'",
            )
    mpi4py = packages.get("mpi4py")
    if mpi4py is None or not mpis:
        return
    wanted = {str(text).split()[0] for text in mpi4py.get("depends", ())} & {*MPIS}
    if wanted and not wanted & {*mpis}:
        yield Finding(
            ERROR,
            f"mpi4py was built for {' or '.join(sorted(wanted))}; installed is"
            f" {', '.join(mpis)}",
            "mpi4py cannot load this MPI.",
            f"conda install -c conda-forge mpi4py 'mpi=*={next(iter(mpis))}'",
        )
    channels = {
        name: _channel(package) for name, package in {"mpi4py": mpi4py, **mpis}.items()
    }
    if len(set(channels.values())) > 1:
        pairs = ", ".join(f"{name} of {channel}" for name, channel in channels.items())
        yield Finding(
            WARNING,
            f"mixed channels: {pairs}",
            "Their builds are not made for each other: libraries may not be found.",
            "conda install --override-channels -c conda-forge mpi4py " + " ".join(mpis),
            LIKELY,
        )


def _packages(system: System) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path in sorted((system.prefix / "conda-meta").glob("*.json")):
        name = path.name.rsplit("-", 2)[0]
        if name == "mpi4py" or name in MPIS:
            yield name, json.loads(path.read_text())


def _channel(package: Mapping[str, Any]) -> str:
    """Return the channel of a package, such as ``conda-forge`` or ``defaults``."""
    words = str(package.get("channel", "")).rstrip("/").split("/")
    words = [word for word in words if word not in ("linux-64", "noarch", "")]
    is_default = words[-2:-1] == ["pkgs"] or words[-1:] == ["main"]
    return "defaults" if is_default else (words or ["unknown"])[-1]
