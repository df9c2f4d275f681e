"""Where ranks are: CPUs, NUMA nodes, threads and GPUs; versions of a host."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import mpiapps
from mpiapps.device.driver import query

NODES = "/sys/devices/system/node"
GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
PACKAGES = ("mpi4py", "numpy", "numba", "scipy")


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as ranges, such as ``0-3,8``."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)


def expand(text: str) -> set[int]:
    """Return the numbers of ranges such as ``0-3,8``."""
    numbers: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers


def numa_nodes(cpus: Iterable[int], directory: Path = Path(NODES)) -> list[int]:
    """Return the NUMA nodes of some CPUs; none if the kernel does not say."""
    wanted = set(cpus)
    return sorted(
        int(path.name.removeprefix("node"))
        for path in directory.glob("node[0-9]*")
        if expand((path / "cpulist").read_text()) & wanted
    )


def gpus(environ: Mapping[str, str], root: Path = Path("/")) -> list[str]:
    """Return the GPUs that a rank may use: by its variables, else all of the host."""
    for name in GPU_VARIABLES:
        if name in environ:
            return [gpu for gpu in environ[name].split(",") if gpu.strip()]
    nvidia = list((root / "proc/driver/nvidia/gpus").glob("*"))
    amd = [
        path
        for path in (root / "sys/class/kfd/kfd/topology/nodes").glob("*/gpu_id")
        if path.read_text().strip() not in ("", "0")
    ]
    return [str(number) for number in range(len(nvidia) or len(amd))]


def cuda_devices(
    environ: Mapping[str, str], root: Path = Path("/")
) -> list[str] | None:
    """Return the UUIDs of the CUDA devices that this process may use.

    A control group numbers the devices that it admits from 0, so numbers do not tell
    whether two ranks have the same one. `None`: the driver has not
    answered. Local; a child process asks the driver, on hosts that have one.
    """
    if not (root / "proc/driver/nvidia/version").exists():
        return []
    driver = query(environ)
    if not driver.has_answered:
        return None
    return [device.uuid for device in driver.devices]


def blas_threads() -> int:
    """Return the threads of the BLAS that NumPy has loaded; 0 if unknown."""
    import numpy as np
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    pools = [p for p in threadpool_info() if p["user_api"] == "blas"]
    return max((int(pool["num_threads"]) for pool in pools), default=0)


def rank_row(rank: int, host: str) -> dict[str, Any]:
    """Return where this process is."""
    cpus = os.sched_getaffinity(0)
    return {
        "rank": rank,
        "host": host,
        "cpus": ranges(cpus),
        "numa": ranges(numa_nodes(cpus)),
        "threads": blas_threads(),
        "gpus": gpus(os.environ),
        "cuda_devices": cuda_devices(os.environ),
    }


def host_versions(mpi: str) -> dict[str, str]:
    """Return versions and hardware of this host, which should be alike on all hosts."""
    cpu = re.search(r"^model name\s*: (.*)", _read("/proc/cpuinfo"), re.MULTILINE)
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "mpiapps": mpiapps.__version__,
        "mpi": mpi,
        **{name: metadata.version(name) for name in PACKAGES},
        "libc": " ".join(platform.libc_ver()),
        "kernel": platform.release(),
        "cpu": cpu[1].strip() if cpu else "",
    }


def _read(name: str) -> str:
    try:
        return Path(name).read_text(errors="replace")
    except OSError:
        return ""
