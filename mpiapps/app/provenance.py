"""Provenance of a result: versions, library, host, job, commit, command."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mpiapps
from mpiapps.base.launch_environment import job_id
from mpiapps.base.threads import usable_cores

if TYPE_CHECKING:
    from mpiapps.comm.world import World

PACKAGES = ("mpi4py", "numpy", "numba", "scipy")


def before_init() -> dict[str, Any]:
    """Return the start time, command and commit. Call it before MPI_Init.

    It forks to run git, which is not safe after MPI_Init.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": [*sys.orig_argv],
        "git": commit(Path(mpiapps.__file__).parents[1]),
    }


def collect(
    world: World, initial: Mapping[str, Any], environ: Mapping[str, str]
) -> dict[str, Any]:
    """Return the provenance of a run, with the `initial` part. Root only."""
    from importlib import metadata

    from mpi4py import MPI
    from threadpoolctl import threadpool_info

    from mpiapps.launch.mpi_library import loaded_library

    library = loaded_library()
    pools = [
        {name: pool[name] for name in ("user_api", "internal_api", "num_threads")}
        for pool in threadpool_info()
    ]
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {
        "mpi": str(library),
        "mpi_library": str(library.path) if library.path else None,
        "mpi_standard": ".".join(map(str, MPI.Get_version())),
        **versions,
        "python": platform.python_version(),
        "host": world.host,
        "cpu": cpu(),
        "cores": usable_cores(),
        "threads": pools,
        "job": job_id() or None,
        "user": environ.get("USER"),
        "cwd": str(Path.cwd()),
        **initial,
    }


def cpu() -> str | None:
    """Return the model of the processor, if the kernel states it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    names = [line for line in text.splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else None


def commit(checkout: Path) -> str | None:
    """Return the commit of a checkout, with ``-dirty`` if it is modified, or None."""
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    arguments = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        process = subprocess.run(
            [git, "-C", str(checkout), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() or None
