"""The launcher of this process, detected from its variables before MPI starts.

A new launcher is a new row of the tables.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

JOB_ID_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")


@dataclass(frozen=True)
class LauncherVariables:
    """The variables that a launcher sets for its ranks."""

    name: str
    process_manager: str  # start-up protocol: PMIx, PMI or none
    size: str
    rank: str
    ends_all: bool = True  # once a rank exits with a nonzero code, or on a PMI abort


# Most specific first. Both srun --mpi=pmix and Open MPI's mpiexec set PMIX_RANK, so
# Open MPI's own variables come first. srun sets the variables of the step with any
# --mpi, so that row is the last.
LAUNCHER_VARIABLES = (
    LauncherVariables(
        "Open MPI's mpiexec",
        "PMIx",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_RANK",
    ),
    LauncherVariables(
        "a PMI launcher (mpiexec of MPICH or Intel MPI, or srun --mpi=pmi2)",
        "PMI",
        "PMI_SIZE",
        "PMI_RANK",
    ),
    LauncherVariables(
        "srun --mpi=pmix", "PMIx", "SLURM_STEP_NUM_TASKS", "PMIX_RANK", ends_all=False
    ),
    LauncherVariables(
        "srun", "none", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", ends_all=False
    ),
)

# When the first rank exits with a nonzero code, the launcher terminates the others and
# discards output that it has not read: the reporting rank waits, and others longer.
FLUSH_DELAY = 0.5  # s for the launcher to read the output
LOWER_RANK_DELAY = 3.0  # s that other ranks wait for the reporting rank

# Number of ranks on this host.
LOCAL_SIZE_VARIABLES = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")
# Prefixes of variables that launchers set for their ranks. Settings of users with
# similar names (OMPI_MCA_btl, OMPI_CC, OMPI_ALLOW_RUN_AS_ROOT, HYDRA_IFACE) do not
# match.
RANK_PREFIXES = (
    # Open MPI 5: prterun and PMIx
    *(
        "OMPI_COMM_WORLD_",
        "OMPI_WORLD_",
        "OMPI_UNIVERSE_SIZE",
        "OMPI_APP_CTX_NUM_PROCS",
    ),
    *("OMPI_NUM_APP_CTX", "OMPI_FIRST_RANKS", "OMPI_FILE_LOCATION", "OMPI_LIBDIR_LOC"),
    *(
        "OMPI_ARGV",
        "OMPI_COMMAND",
        "OMPI_TOOL_NAME",
        "OMPI_VERSION",
        "OPAL_USER_PARAMS",
    ),
    *("OMPI_MCA_PREFIXES", "OMPI_MCA_cpu_type", "OMPI_MCA_initial_wdir"),
    *("OMPI_MCA_num_procs", "PRTE_LAUNCHED", "PRTE_SHARED_FS", "PMIX_"),
    # Open MPI 4: orted
    *(
        "OMPI_MCA_orte_",
        "OMPI_MCA_ess",
        "OMPI_MCA_pmix",
        "OMPI_MCA_shmem_RUNTIME_QUERY",
    ),
    # MPICH and Intel MPI: Hydra
    *("PMI_", "HYDI_", "HYDRA_BSTRAP_", "HYDRA_LAUNCH_TYPE", "HYDRA_IP_VERSION"),
    *("MPI_LOCAL", "I_MPI_HYDRA_UUID", "I_MPI_INFO_", "I_MPI_PIN_INFO"),
    "I_MPI_PIN_MAPPING",
    # Slurm's srun
    *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS"),
    # Cray
    *("PALS_RANKID", "PALS_LOCAL_RANKID", "PALS_LOCAL_SIZE", "ALPS_APP_PE"),
)
USER_PREFIXES = ("PMIX_MCA_",)  # settings of users, in spite of RANK_PREFIXES

# Launchers that set a rank or a number of ranks per host, and not the size of the
# world: variable -> launcher, and what to add for the smallest possible size.
PARTIAL_LAUNCHERS = {
    "PALS_RANKID": ("mpiexec of HPE Cray PALS", 1),
    "PALS_LOCAL_SIZE": ("mpiexec of HPE Cray PALS", 0),
    "ALPS_APP_PE": ("aprun of Cray ALPS", 1),
}

JOB_NTASKS = "MPIAPPS_NTASKS"  # set by the job script; mandatory size of the world
ALLOCATION_NTASKS = "SLURM_NTASKS"
# Set to 1 by the user to run one process in an allocation of several tasks.
ALLOW_SINGLETON = "MPIAPPS_ALLOW_SINGLETON"


@dataclass(frozen=True)
class LaunchEnvironment:
    """The launcher, and the size and rank that it sets; `None` if it does not."""

    launcher: str | None = None
    process_manager: str | None = None
    size: int | None = None
    size_variable: str | None = None
    rank: int | None = None
    ends_all: bool = False

    @property
    def is_reporting_rank(self) -> bool:
        """Whether this process prints messages that shall appear once.

        True without a launcher.
        """
        return self.rank in (None, 0)


def job_id() -> str:
    """Return the ID of the scheduler's job that this process is in, or nothing."""
    variables = (name for name in JOB_ID_VARIABLES if name in os.environ)
    return next((os.environ[name] for name in variables), "")


def without_rank_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for a process that is not a rank.

    Without the variables of the launcher, by which an MPI library would treat the
    process as a rank, and with all settings of the user.
    """
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(RANK_PREFIXES) or name.startswith(USER_PREFIXES)
    }


def int_variable(environ: Mapping[str, str], name: str) -> int | None:
    """Return variable `name` as an int, or `None` if it is not set or not a number."""
    text = environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None


def ranks_on_host(environ: Mapping[str, str]) -> int:
    """Return the number of ranks on this host; 0 if the launcher does not set it."""
    return max(int_variable(environ, name) or 0 for name in LOCAL_SIZE_VARIABLES)


def smallest_size(environ: Mapping[str, str]) -> tuple[int, str]:
    """Return the smallest size of the world that a launcher's variables allow.

    Returns
    -------
    size : int
        0 without such a variable.
    source : str
        The variable and its value.
    """
    sizes = [
        (value + extra, f"{name}={value}")
        for name, (_, extra) in PARTIAL_LAUNCHERS.items()
        if (value := int_variable(environ, name)) is not None
    ]
    return max(sizes, default=(0, ""))


def allocated_slots(environ: Mapping[str, str]) -> tuple[int, str]:
    """Return the slots of a PBS, LSF or Grid Engine job, and their source; or 0.

    A slot is a process or a thread: these schedulers do not know which.
    """
    for name in ("PBS_NP", "LSB_DJOB_NUMPROC", "NSLOTS"):
        if slots := int_variable(environ, name):
            return slots, f"{name}={slots}"
    count = len(_lines(environ, "PBS_NODEFILE"))
    return count, f"{count} lines in PBS_NODEFILE"


def allocated_hosts(environ: Mapping[str, str]) -> int:
    """Return the number of hosts of the job, or 0 if that is not known."""
    if hosts := int_variable(environ, "SLURM_JOB_NUM_NODES"):
        return hosts
    for name in ("PBS_NODEFILE", "PE_HOSTFILE"):
        if lines := _lines(environ, name):
            return len({line.split()[0] for line in lines})
    return len(set(environ.get("LSB_MCPU_HOSTS", "").split()[::2]))


def _lines(environ: Mapping[str, str], name: str) -> list[str]:
    """Return the lines of the file that a variable names; none if unreadable."""
    try:
        text = Path(environ[name]).read_text()
    except (KeyError, OSError, ValueError):
        return []
    return [line for line in text.splitlines() if line.strip()]


def detect_launch(environ: Mapping[str, str]) -> LaunchEnvironment:
    """Return the launcher that set the variables in `environ`; starts no MPI."""
    for row in LAUNCHER_VARIABLES:
        size, rank = int_variable(environ, row.size), int_variable(environ, row.rank)
        if size is None or rank is None:
            continue
        return LaunchEnvironment(
            launcher=row.name,
            process_manager=row.process_manager,
            size=size,
            size_variable=row.size,
            rank=rank,
            ends_all=row.ends_all,
        )
    return LaunchEnvironment()
