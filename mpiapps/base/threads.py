"""How many threads a rank may use, set before NumPy, numba or OpenMP look."""

import os
from collections.abc import MutableMapping
from pathlib import Path

from mpiapps.base.launcher import Launch, number

# Each library reads its own variable, once, when it is loaded.
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
    """Return how many cores the affinity mask lets this process use. Local."""
    return len(os.sched_getaffinity(0))


def physical_cores() -> int:
    """Return how many cores those are: two hardware threads of one core count once.

    Local. It is what Open MPI's mpiexec counts as slots.
    """
    siblings = set()
    for cpu in os.sched_getaffinity(0):
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        try:
            siblings.add((topology / "thread_siblings_list").read_text())
        except OSError:
            return usable_cores()
    return len(siblings)


def threads_per_rank(launch: Launch, environ: MutableMapping[str, str]) -> int:
    """Return the threads one rank should use, at least 1 and at most its cores.

    Local. The scheduler's word (``SLURM_CPUS_PER_TASK``, or ``MPIAPPS_THREADS`` from a
    job script) counts first; a rank under a launcher gets one; a process of its own
    gets every core of its affinity mask.
    """
    cores = usable_cores()
    asked = number(environ, "MPIAPPS_THREADS") or number(environ, "SLURM_CPUS_PER_TASK")
    default = 1 if launch.launcher else cores
    return max(1, min(asked or default, cores))


def limit_threads(launch: Launch, environ: MutableMapping[str, str]) -> None:
    """Set the thread variables that the user has not set, or has left empty. Local.

    The user's ``OMP_NUM_THREADS`` counts for all; of a list, as for nested regions, its
    first number.
    """
    outer = environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    asked = number({"OMP_NUM_THREADS": outer.strip()}, "OMP_NUM_THREADS")
    count = asked or threads_per_rank(launch, environ)
    for name in THREAD_VARIABLES:
        environ[name] = environ.get(name) or str(count)
