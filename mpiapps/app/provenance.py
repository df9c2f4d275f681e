"""Provenance of a result: versions, library, host, job, commit, command."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mpiapps
from mpiapps.base.launch_environment import job_id
from mpiapps.base.threads import usable_cores

if TYPE_CHECKING:
    from mpiapps.comm.world import World

GIT_SECONDS = 5  # s to wait for git
PACKAGES = ("mpi4py", "numpy", "numba", "scipy")


def before_init() -> dict[str, Any]:
    """Return the start time, the command, and the query of the commit.

    Call it before MPI_Init: it forks to run git, which is not safe afterwards. Git runs
    while this process loads its libraries; `after_init` waits for it.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": [*sys.orig_argv],
        "git": CommitQuery(Path(mpiapps.__file__).parents[1]),
    }


def after_init(initial: Mapping[str, Any]) -> dict[str, Any]:
    """Return `initial` with the commit in place of its query: git has ended."""
    return {**initial, "git": initial["git"].result()} if initial else {}


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


class CommitQuery:
    """The commit of a checkout, which git finds in the background."""

    def __init__(self, checkout: Path) -> None:
        self._process: subprocess.Popen[str] | None = None
        git = shutil.which("git")
        if git is None or not (checkout / ".git").exists():
            return
        arguments = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        with suppress(OSError):
            self._process = subprocess.Popen(
                [git, "-C", str(checkout), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )

    def result(self) -> str | None:
        """Return the commit, with ``-dirty`` if files are modified, or `None`."""
        if self._process is None:
            return None
        try:
            output, _ = self._process.communicate(timeout=GIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return None
        return output.strip() or None
