"""The host and the environment that probes examine, as arguments."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mpiapps.base.launch_environment import int_variable, ranks_on_host
from mpiapps.diagnostics.library import MpiLibrary

# Variables with the number of ranks per host, as an integer before any bracket.
RANKS_PER_HOST = ("SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE", "PBS_NUM_PPN")
CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv", "/.singularity.d")
CONTAINER_VARIABLES = ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER")


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of a command; code `None`: not started, or timed out."""

    code: int | None
    text: str


@dataclass(frozen=True)
class System:
    """A host as a probe sees it. Tests pass their own environment and paths.

    Attributes
    ----------
    environ : mapping
        The environment variables.
    root : Path
        Prefix of system files, such as ``/proc`` and ``/run``.
    prefix : Path
        The Python environment, ``sys.prefix``.
    module_path : sequence of str
        The directories of modules, ``sys.path``.
    work : Path
        The work directory.
    cpus : frozenset of int
        The affinity mask.
    ntasks : int
        Ranks per host, if given; 0: as the environment says.
    library : MpiLibrary
        What `mpi4py` loads.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    root: Path = Path("/")
    prefix: Path = Path(sys.prefix)
    module_path: Sequence[str] = field(default_factory=lambda: tuple(sys.path))
    work: Path = field(default_factory=Path.cwd)
    cpus: frozenset[int] = field(
        default_factory=lambda: frozenset(os.sched_getaffinity(0))
    )
    ntasks: int = 0
    library: MpiLibrary = field(default_factory=MpiLibrary)

    def path(self, name: str) -> Path:
        """Return the path of an absolute file name below `root`."""
        return self.root / name.lstrip("/")

    def read(self, name: str) -> str:
        """Return the text of a system file; empty if it cannot be read."""
        try:
            return self.path(name).read_text(errors="replace")
        except OSError:
            return ""

    @property
    def tmpdir(self) -> Path:
        """The directory of temporary files, ``TMPDIR`` or ``/tmp``."""
        return Path(self.environ.get("TMPDIR") or "/tmp")

    def directories(self, variable: str) -> list[Path]:
        """Return the directories of a variable such as ``PATH``."""
        return [Path(p) for p in self.environ.get(variable, "").split(":") if p]

    def which(self, command: str) -> str | None:
        """Return the path of a command on ``PATH``."""
        return shutil.which(command, path=self.environ.get("PATH", os.defpath))

    def run(self, argv: Sequence[str], limit: float = 1.5) -> Outcome:
        """Run a command for at most `limit` seconds; its output is both streams."""
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=limit,
                env=dict(self.environ),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Outcome(None, str(error))
        return Outcome(done.returncode, done.stdout)

    def python(self, code: str, *arguments: str, limit: float = 1.5) -> Outcome:
        """Run Python code in a child process, as `run` does."""
        return self.run([sys.executable, "-c", code, *arguments], limit)

    def ranks_per_host(self) -> int:
        """Return the number of ranks on this host: asked for, started, or 1."""
        known = self.ntasks or ranks_on_host(self.environ)
        for name in RANKS_PER_HOST:
            text = self.environ.get(name, "").partition("(")[0].partition(",")[0]
            known = known or (int_variable({name: text}, name) or 0)
        return known or 1

    def is_container(self) -> bool:
        """Return whether this is a container of Docker, Podman or Apptainer."""
        return any(self.path(name).exists() for name in CONTAINER_FILES) or any(
            name in self.environ for name in CONTAINER_VARIABLES
        )

    def in_slurm(self) -> bool:
        """Return whether this process is in a Slurm job."""
        return "SLURM_JOB_ID" in self.environ
