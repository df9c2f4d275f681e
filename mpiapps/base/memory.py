"""Memory that this job may use on this host."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

from mpiapps.base.launch_environment import int_variable

CGROUPS = Path("/sys/fs/cgroup")
MEGABYTE = 2**20  # Slurm's M


def memory_of_host(
    environ: Mapping[str, str] = os.environ,
    cgroups: Path = CGROUPS,
    process: Path = Path("/proc/self"),
) -> int:
    """Return the bytes that all ranks of this job may use together on this host.

    The minimum of the physical memory, the limits of this process's cgroups, up to the
    root, and the memory requested from Slurm.
    """
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [physical, *_cgroup_limits(cgroups, process / "cgroup")]
    if megabytes := int_variable(environ, "SLURM_MEM_PER_NODE"):
        limits.append(megabytes * MEGABYTE)
    elif megabytes := int_variable(environ, "SLURM_MEM_PER_CPU"):
        limits.append(
            megabytes * MEGABYTE * (int_variable(environ, "SLURM_CPUS_ON_NODE") or 1)
        )
    return min(limits)


def available_memory() -> int:
    """Return the bytes that this job can allocate on this host now.

    The kernel's MemAvailable, which includes caches, within `memory_of_host`.
    """
    with Path("/proc/meminfo").open() as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return min(int(line.split()[1]) * 1024, memory_of_host())
    return memory_of_host()  # kernels before 3.14 have no MemAvailable


def memory_of_rank(ranks: int, environ: Mapping[str, str] = os.environ) -> int:
    """Return the bytes for one of `ranks` ranks of this host.

    Within the limit of a process (``ulimit -v``, Grid Engine's ``h_vmem``).
    """
    share = memory_of_host(environ) // ranks
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return share if soft == resource.RLIM_INFINITY else min(share, soft)


def _cgroup_limits(cgroups: Path, membership: Path) -> Iterator[int]:
    """Yield the limits of the cgroups in the file `membership`, version 1 or 2."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be that of the host, which is not visible there.
        cgroup = top / path.strip("/").replace("../", "")
        for directory in (cgroup, *cgroup.parents):
            try:
                text = (directory / name).read_text().strip()
            except OSError:
                text = ""
            if text.isdigit():
                yield int(text)
            if directory == top:
                break
