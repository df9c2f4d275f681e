"""The loaded MPI library and its launcher."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Family:
    """An MPI implementation. Local."""

    name: str
    version: re.Pattern[str]  # start of MPI_Get_library_version
    srun: str  # command that starts it under Slurm
    mpiexec: str  # name of its launcher where several MPIs share a directory


FAMILIES = (
    Family(
        "Open MPI",
        re.compile(r"Open MPI v([\w.]+)"),
        "srun --mpi=pmix",
        "mpiexec.openmpi",
    ),
    Family(
        "MPICH",
        re.compile(r"MPICH Version:\s*([\w.]+)"),
        "srun --mpi=pmi2",
        "mpiexec.mpich",
    ),
    Family(
        "Intel MPI",
        re.compile(r"Intel\(R\) MPI Library ([\w.]+)"),
        "srun --mpi=pmi2",
        "mpiexec.hydra",
    ),
)
UNKNOWN = Family("MPI", re.compile(r"()"), "srun --mpi=<as it was built>", "mpiexec")


@dataclass(frozen=True)
class Library:
    """The MPI library that this process has loaded. Local."""

    family: Family
    version: str
    banner: str  # MPI_Get_library_version
    path: Path | None

    def __str__(self) -> str:
        """Return the family and the version, such as ``Open MPI 5.0.11``."""
        return f"{self.family.name} {self.version}".strip()

    @property
    def mpiexec(self) -> str | None:
        """The launcher installed with the library, else the first one on PATH."""
        names = (self.family.mpiexec, "mpiexec")
        for directory in self.path.parents[:5] if self.path else ():
            for name in names:
                launcher = directory / "bin" / name
                if launcher.is_file():
                    return str(launcher)
        return next(filter(None, map(shutil.which, names)), None)


def identify(banner: str) -> tuple[Family, str]:
    """Return family and version from the text of ``MPI_Get_library_version``. Local."""
    for family in FAMILIES:
        if match := family.version.match(banner):
            return family, match[1]
    return UNKNOWN, banner.split("\n", 1)[0]


def loaded_library() -> Library:
    """Return the MPI library of this process. Local; MPI need not be started."""
    from mpi4py import MPI

    banner = MPI.Get_library_version().strip("\0 \n")
    family, version = identify(banner)
    return Library(family, version, banner, _mapped("libmpi"))


def _mapped(name: str) -> Path | None:
    """Return the path of the mapped shared library `name`."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.partition("/")
        file = Path(path[1] + path[2])
        if re.match(rf"{name}\.so", file.name):
            return file
    return None
