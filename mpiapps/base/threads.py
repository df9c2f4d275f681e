"""Number of threads per rank, set before NumPy, numba or OpenMP are loaded."""

import os
from collections.abc import MutableMapping
from pathlib import Path

from mpiapps.base.launch_environment import LaunchEnvironment, int_variable

# Each library reads its variable once, when it is loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def usable_cores() -> int:
    """Return the number of CPUs in the affinity mask of this process."""
    return len(os.sched_getaffinity(0))


def physical_cores() -> int:
    """Return the number of cores in the affinity mask, without hardware threads.

    This is the number of slots of Open MPI's mpiexec.
    """
    siblings = set()
    for cpu in os.sched_getaffinity(0):
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        try:
            siblings.add((topology / "thread_siblings_list").read_text())
        except OSError:
            return usable_cores()
    return len(siblings)


def threads_per_rank(
    launch: LaunchEnvironment, environ: MutableMapping[str, str]
) -> int:
    """Return the number of threads per rank, at least 1 and at most its cores.

    ``SLURM_CPUS_PER_TASK`` if set; else one under a launcher, or all cores of the
    affinity mask without one. Job scripts set ``OMP_NUM_THREADS``.
    """
    cores = usable_cores()
    requested = int_variable(environ, "SLURM_CPUS_PER_TASK")
    default = 1 if launch.launcher else cores
    return max(1, min(requested or default, cores))


def limit_threads(launch: LaunchEnvironment, environ: MutableMapping[str, str]) -> None:
    """Set the thread variables that are unset or empty.

    The user's ``OMP_NUM_THREADS`` counts for all; of a list, for nested regions, the
    first number.
    """
    outer = environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    requested = int_variable({"OMP_NUM_THREADS": outer.strip()}, "OMP_NUM_THREADS")
    count = requested or threads_per_rank(launch, environ)
    for name in THREAD_VARIABLES:
        environ[name] = environ.get(name) or str(count)
