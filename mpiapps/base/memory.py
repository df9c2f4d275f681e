"""How much memory this job may use on this host."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

from mpiapps.base.launcher import number

CGROUPS = Path("/sys/fs/cgroup")
MEGABYTE = 2**20  # Slurm's M


def memory_of_host(
    environ: Mapping[str, str] = os.environ,
    cgroups: Path = CGROUPS,
    process: Path = Path("/proc/self"),
) -> int:
    """Return the bytes that all ranks of this job may use together here. Local.

    The least of the memory that is built in, of the limits of the cgroups that this
    process is in, up to the root, and of what Slurm was asked for.
    """
    built_in = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [built_in, *_cgroup_limits(cgroups, process / "cgroup")]
    if megabytes := number(environ, "SLURM_MEM_PER_NODE"):
        limits.append(megabytes * MEGABYTE)
    elif megabytes := number(environ, "SLURM_MEM_PER_CPU"):
        limits.append(
            megabytes * MEGABYTE * (number(environ, "SLURM_CPUS_ON_NODE") or 1)
        )
    return min(limits)


def available_memory() -> int:
    """Return the bytes that new work of this job can get on this host now. Local.

    What the kernel can give without swapping, caches included, within the limits of
    `memory_of_host`.
    """
    with Path("/proc/meminfo").open() as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return min(int(line.split()[1]) * 1024, memory_of_host())
    return memory_of_host()  # kernels before 3.14 do not say


def memory_of_rank(ranks: int, environ: Mapping[str, str] = os.environ) -> int:
    """Return the bytes for one of `ranks` ranks of this host. Local.

    The limit of one process (``ulimit -v``, Grid Engine's ``h_vmem``) counts, too.
    """
    share = memory_of_host(environ) // ranks
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return share if soft == resource.RLIM_INFINITY else min(share, soft)


def _cgroup_limits(cgroups: Path, listed: Path) -> Iterator[int]:
    """Yield the limits of the cgroups in the file `listed`, version 1 or 2."""
    try:
        lines = listed.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if not controllers:
            top, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be that of the host, which is not seen there.
        folder = top / place.strip("/").replace("../", "")
        for each in (folder, *folder.parents):
            try:
                text = (each / name).read_text().strip()
            except OSError:
                text = ""
            if text.isdigit():
                yield int(text)
            if each == top:
                break
