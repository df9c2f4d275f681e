"""Probes of cores, threads, and limits of processes."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator

from mpiapps.base.launch_environment import int_variable
from mpiapps.base.threads import THREAD_VARIABLES
from mpiapps.diagnostics.probe import (
    CERTAIN,
    ERROR,
    LIKELY,
    WARNING,
    Finding,
    NotApplicable,
    probe,
)
from mpiapps.diagnostics.system import System

BINDING = ("GOMP_CPU_AFFINITY", "KMP_AFFINITY", "OMP_PLACES", "OMP_PROC_BIND")
OPEN_FILES = 1024  # a common soft limit; Dask and mpiexec use a descriptor per peer
IMPORT_LIMIT = 10.0  # s; from a slow file system
AFFINITY = """
import os
before = len(os.sched_getaffinity(0))
import numpy
numpy.ones((2, 2)) @ numpy.ones((2, 2))
print(before, len(os.sched_getaffinity(0)))
"""


@probe(
    "affinity",
    examines="the affinity mask before and after `import numpy`",
    symptom="all threads on one core",
    limit=IMPORT_LIMIT + 0.5,
)
def affinity(system: System) -> Iterator[Finding]:
    """Find a library or variable that binds the process when it is imported."""
    answer = system.python(AFFINITY, limit=IMPORT_LIMIT)
    match = re.search(r"(\d+) (\d+)\s*$", answer.text)
    if answer.code != 0 or not match:
        last = (answer.text.strip().splitlines() or ["no output"])[-1]
        raise RuntimeError(f"import numpy: {last}")
    before, after = int(match[1]), int(match[2])
    if after < before:
        names = [name for name in BINDING if name in system.environ]
        yield Finding(
            WARNING,
            f"`import numpy` reduces the affinity mask from {before} to {after} CPUs"
            + "".join(f"; {name}={system.environ[name]}" for name in names),
            "All threads and child processes share these cores.",
            f"unset {' '.join(names) or ' '.join(BINDING)}",
        )


@probe(
    "bound-process",
    examines="threads asked for, against the affinity mask",
    symptom="threads do not make it faster",
)
def bound_process(system: System) -> Iterator[Finding]:
    """Find more threads than the process may use cores."""
    threads = _threads(system)
    if threads > len(system.cpus):
        yield Finding(
            WARNING,
            f"{threads} threads are set, and this process may use"
            f" {len(system.cpus)} CPU(s)",
            "The threads take turns on a core: slower than fewer threads.",
            f"export OMP_NUM_THREADS={len(system.cpus)}, or mpiexec --bind-to none"
            f" (Open MPI), or request --threads {threads}",
        )


@probe(
    "thread-count",
    examines="thread variables x ranks per host, against the usable cores",
    symptom="slower with more ranks",
)
def thread_count(system: System) -> Iterator[Finding]:
    """Find ranks x threads beyond the cores."""
    ranks, threads, cores = system.ranks_per_host(), _threads(system), len(system.cpus)
    if ranks > 1 and threads > 1 and ranks * threads > cores:
        yield Finding(
            WARNING,
            f"{ranks} ranks per host x {threads} threads on {cores} CPUs",
            "Threads of BLAS and OpenMP wait for each other: often many times slower.",
            f"export OMP_NUM_THREADS={max(1, cores // ranks)}, and unset"
            f" {' '.join(n for n in THREAD_VARIABLES[1:] if n in system.environ)}",
        )


def _threads(system: System) -> int:
    """Return the largest number of threads that a variable sets; 0 without one."""
    first = {n: system.environ.get(n, "").partition(",")[0] for n in THREAD_VARIABLES}
    return max(int_variable(first, name) or 0 for name in THREAD_VARIABLES)


@probe(
    "cpu-quota",
    examines="CPU quota of the control group, against the affinity mask",
    symptom="slow, although cores seem idle; throttled",
)
def cpu_quota(system: System) -> Iterator[Finding]:
    """Find a container whose quota is below the number of visible cores."""
    quota = _quota(system)
    threads = _threads(system) or len(system.cpus)
    if quota and quota < min(threads, len(system.cpus)):
        yield Finding(
            WARNING,
            f"the control group allows {quota:g} CPUs of {len(system.cpus)} visible",
            "Libraries start a thread per visible core, and all are stopped together"
            " when the quota is used up.",
            f"export OMP_NUM_THREADS={max(1, int(quota))}, and start at most"
            f" {max(1, int(quota))} rank(s)",
        )


def _quota(system: System) -> float:
    """Return the CPUs that the control group allows; 0: no limit."""
    match = re.search(r"^0::(\S+)", system.read("/proc/self/cgroup"), re.MULTILINE)
    directory = "/sys/fs/cgroup" + (match[1] if match else "/").rstrip("/")
    quotas = []
    while directory.startswith("/sys/fs/cgroup"):
        words = system.read(f"{directory}/cpu.max").split()
        if len(words) == 2 and words[0].isdigit():
            quotas.append(int(words[0]) / int(words[1]))
        directory = directory.rpartition("/")[0]
    period = system.read("/sys/fs/cgroup/cpu/cpu.cfs_period_us").strip()
    old = system.read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").strip()
    if old.isdigit() and period.isdigit():
        quotas.append(int(old) / int(period))
    return min(quotas, default=0.0)


@probe(
    "process-limit",
    examines="limits of processes and threads (ulimit -u, pids.max)",
    symptom="`blas_thread_init: pthread_create failed`",
)
def process_limit(system: System) -> Iterator[Finding]:
    """Find a limit below the threads that the ranks of this host start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    pids = system.read("/sys/fs/cgroup/pids.max").strip()
    limits = {"ulimit -u": soft, "pids.max": int(pids) if pids.isdigit() else -1}
    # Each rank: BLAS threads, and about 4 of MPI and of this package.
    ranks = system.ranks_per_host()
    needed = ranks * ((_threads(system) or len(system.cpus)) + 4)
    used = _own_threads() if soft >= 0 else 0
    for name, limit in limits.items():
        if limit >= 0 and limit < needed + used:
            raised = (
                "unlimited" if hard == resource.RLIM_INFINITY else max(hard, needed)
            )
            yield Finding(
                ERROR if limit < needed else WARNING,
                f"{name} is {limit}; {used} processes and threads of this user exist,"
                f" and {ranks} rank(s) need about {needed} more",
                "pthread_create and fork fail.",
                f"ulimit -u {raised}"
                if name == "ulimit -u"
                else "docker run --pids-limit=-1",
                CERTAIN if limit < needed else LIKELY,
            )


def _own_threads() -> int:
    """Return the number of threads of this user on the host."""
    count, own = 0, os.getuid()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == own:
                    count += os.stat(f"/proc/{entry.name}/task").st_nlink - 2  # noqa: PTH116 - a Path per process takes longer
            except OSError:
                continue
    return count


@probe(
    "open-files",
    examines="limit of open files (ulimit -n)",
    symptom="`Too many open files` in mpiexec and Dask",
)
def open_files(system: System) -> Iterator[Finding]:
    """Find a limit of open files below a connection per rank."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = max(256, 8 * system.ranks_per_host())
    if 0 <= soft < needed:
        yield Finding(
            WARNING,
            f"ulimit -n is {soft}; mpiexec and Dask use about {needed}",
            "Connections and files cannot be opened.",
            f"ulimit -n {min(hard, 65536) if hard >= 0 else 65536}",
            LIKELY,
        )


@probe(
    "locked-memory",
    examines="limit of locked memory (ulimit -l), on hosts with InfiniBand",
    symptom="`ibv_create_cq failed`, `cannot register memory`",
)
def locked_memory(system: System) -> Iterator[Finding]:
    """Find a limit of locked memory on a host with a fast network."""
    if not system.path("/sys/class/infiniband").is_dir():
        raise NotApplicable("no InfiniBand on this host")
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if 0 <= soft < 1 << 30:
        yield Finding(
            WARNING,
            f"ulimit -l is {soft >> 10} KiB",
            "The network cannot register buffers: MPI fails, or uses TCP.",
            "ulimit -l unlimited; on the hosts of Slurm: LimitMEMLOCK=infinity of"
            " slurmd",
            LIKELY,
        )
