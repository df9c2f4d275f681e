"""Probe of the packages and toolkits that use CUDA devices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

from mpiapps.device.driver import Driver, query_all, version_text
from mpiapps.diagnostics.probe import (
    ERROR,
    LIKELY,
    WARNING,
    Finding,
    NotApplicable,
    probe,
)
from mpiapps.diagnostics.system import System


@probe(
    "cuda-packages",
    examines="versions of CuPy, numba's CUDA target, toolkit and driver",
    symptom="`CUDA driver version is insufficient`, `libnvrtc.so.12` not found",
    limit=25.0,
)
def cuda_packages(system: System) -> Iterator[Finding | str]:
    """Find packages and a toolkit that do not fit the driver or each other."""
    driver = query_all(system.environ)
    if not driver.devices:
        raise NotApplicable(f"no CUDA device: {driver.error}")
    packages, toolkits = cupy_packages(system), _toolkits(system)
    yield "CuPy: " + (", ".join(f"{p} {v}" for p, (v, _) in packages.items()) or "none")
    yield f"CUDA target of numba: {_numba_target(system)}"
    yield f"toolkit: {', '.join(map(version_text, toolkits)) or 'none'}"
    yield from _package_findings(packages, driver, toolkits) or _too_new(
        toolkits, driver
    )


def _package_findings(
    packages: dict[str, tuple[str, int]],
    driver: Driver,
    toolkits: list[tuple[int, ...]],
) -> list[Finding]:
    if len(packages) < 2:
        return [
            finding
            for package, (_, major) in packages.items()
            for finding in _cupy_findings(package, major, driver, toolkits)
        ]
    return [
        Finding(
            ERROR,
            f"{len(packages)} packages of CuPy: {', '.join(packages)}",
            "They overwrite each other's files.",
            f"python -m pip uninstall -y {' '.join(packages)} && python -m pip install"
            f" {_fitting(driver)}",
        )
    ]


def _too_new(toolkits: list[tuple[int, ...]], driver: Driver) -> list[Finding]:
    """Find toolkits of which none is as old as the driver."""
    newest = version_text(driver.version)
    if not toolkits or toolkits[0] <= driver.version:
        return []
    return [
        Finding(
            WARNING,
            f"the toolkit is of CUDA {version_text(toolkits[0])}, the driver supports"
            f" up to {newest}",
            "Kernels that the toolkit compiles may not load: CUDA error 222,"
            " unsupported PTX version.",
            f"module load a toolkit up to {newest}, or ask for a newer driver",
            LIKELY,
        )
    ]


def _cupy_findings(
    package: str, major: int, driver: Driver, toolkits: list[tuple[int, ...]]
) -> Iterator[Finding]:
    reinstall = f"python -m pip uninstall -y {package} && python -m pip install"
    if major > driver.version[0]:
        yield Finding(
            ERROR,
            f"{package} needs a driver for CUDA {major}; this one supports up to"
            f" {version_text(driver.version)}",
            "Each call fails: CUDA driver version is insufficient.",
            f"{reinstall} {_fitting(driver)}",
        )
    elif not toolkits:
        yield Finding(
            ERROR,
            f"{package} is installed, and no libnvrtc.so is found",
            "CuPy compiles its kernels by NVRTC of a CUDA toolkit.",
            f"python -m pip install '{package}[ctk]', or module load cuda",
            LIKELY,
        )
    elif major and major not in {numbers[0] for numbers in toolkits}:
        found = ", ".join(map(version_text, toolkits))
        yield Finding(
            ERROR,
            f"{package} is for CUDA {major}, the toolkit is of CUDA {found}",
            f"CuPy finds no libnvrtc.so.{major} and no cuBLAS.",
            f"python -m pip install '{package}[ctk]', or {reinstall}"
            f" cupy-cuda{toolkits[-1][0]}x",
            LIKELY,
        )


def _fitting(driver: Driver) -> str:
    """Return the package of CuPy for a driver, with its toolkit."""
    return f"'cupy-cuda{driver.version[0]}x[ctk]'"


def _in_packages(system: System, pattern: str) -> list[Path]:
    """Return files in the directories of modules that match a pattern."""
    paths = (path for path in map(Path, system.module_path) if path.is_dir())
    return [found for path in paths for found in sorted(path.glob(pattern))]


def _versions(system: System) -> dict[str, str]:
    """Return the version of each installed package; the first on the path is used."""
    versions: dict[str, str] = {}
    for installed in distributions(path=list(system.module_path)):
        name = installed.metadata["Name"]
        if name:  # a damaged installation has none
            versions.setdefault(re.sub(r"[-_.]+", "-", name).lower(), installed.version)
    return versions


def cupy_packages(system: System) -> dict[str, tuple[str, int]]:
    """Return installed packages of CuPy: their version and CUDA's major, or 0."""
    return {
        name: (version, int(match[1] or 0))
        for name, version in sorted(_versions(system).items())
        if (match := re.fullmatch(r"cupy(?:-cuda(\d+)x)?", name))
    }


def _numba_target(system: System) -> str:
    """Return the package that has ``numba.cuda``."""
    if version := _versions(system).get("numba-cuda"):
        return f"numba-cuda {version}"
    built_in = _in_packages(system, "numba/cuda/__init__.py")
    return "built into numba" if built_in else "none"


def _toolkits(system: System) -> list[tuple[int, ...]]:
    """Return the versions of NVRTC that a process finds, in order."""
    roots = [
        Path(system.environ[name])
        for name in ("CUDA_PATH", "CUDA_HOME")
        if system.environ.get(name)
    ]
    directories = [
        *system.directories("LD_LIBRARY_PATH"),
        *(root / "lib64" for root in roots),
        system.prefix / "lib",
        *_in_packages(system, "nvidia/*/lib"),
        *system.path("/usr/local").glob("cuda*/lib64"),
        *(system.path("/usr/lib").glob("*-linux-gnu")),
        system.path("/usr/lib64"),
    ]
    majors: dict[int, tuple[int, ...]] = {}
    for path in (p for d in directories for p in d.glob("libnvrtc.so.*")):
        numbers = tuple(map(int, re.findall(r"\d+", path.name)[:2]))
        majors[numbers[0]] = max(numbers, majors.get(numbers[0], ()))
    return sorted(majors.values())
