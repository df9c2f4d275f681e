"""What the launcher says of this process, read from its variables before MPI starts.

The tables are the whole knowledge: a new launcher is a new row.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LauncherVariables:
    """The variables by which one launcher tells a process its place."""

    name: str
    process_manager: str  # what the launcher speaks: PMIx, PMI or nothing
    size: str
    rank: str
    ends_all: bool = True  # as soon as one rank exits with a code, or PMI asks for it


# Most specific first. PMIX_RANK comes with srun --mpi=pmix as well as with Open MPI's
# mpiexec, which is why Open MPI's own variables are asked before it. Under srun the
# step's variables are set whatever --mpi says, so that row is the last.
LAUNCHERS = (
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

# The first rank that exits with a code makes the launcher end the others, and what it
# has not read by then is lost: the one that speaks waits, and the silent wait longer.
DELIVERY = 0.5  # s for the launcher to read what was written
YIELD = 3.0  # s that a silent rank leaves to the one that speaks

# How many ranks it started on this host.
RANKS_HERE = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")
# What launchers set for their ranks, by the beginnings of names. Settings of users
# begin alike (OMPI_MCA_btl, OMPI_CC, OMPI_ALLOW_RUN_AS_ROOT, HYDRA_IFACE) and are not
# here.
OF_RANKS = (
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
)
OF_USERS = ("PMIX_MCA_",)  # but these of them are settings

# What a whole job was given. The first is set by our own job scripts and is binding.
JOB_NTASKS = "MPIAPPS_NTASKS"
ALLOCATION_NTASKS = "SLURM_NTASKS"
# Set to 1 by those who want one process in an allocation of many tasks.
ALLOW_SINGLETON = "MPIAPPS_ALLOW_SINGLETON"


@dataclass(frozen=True)
class Launch:
    """What the launcher promised to this process; `None` where it says nothing."""

    launcher: str | None = None
    process_manager: str | None = None
    size: int | None = None
    size_variable: str | None = None
    rank: int | None = None
    ends_all: bool = False

    @property
    def speaks(self) -> bool:
        """Whether this process is the one to print what should appear once.

        Without a launcher every process is on its own, and speaks.
        """
        return self.rank in (None, 0)


def not_a_rank(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process beside the ranks. Local.

    Without the variables by which an MPI that it starts would take it for a rank, and
    with all that a user has set.
    """
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(OF_RANKS) or name.startswith(OF_USERS)
    }


def number(environ: Mapping[str, str], name: str) -> int | None:
    """Return variable `name` as an int, or `None` if it is missing or no number."""
    text = environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None


def ranks_here(environ: Mapping[str, str]) -> int:
    """Return how many ranks the launcher started on this host; 0 if it does not say."""
    return max(number(environ, name) or 0 for name in RANKS_HERE)


def detect_launch(environ: Mapping[str, str]) -> Launch:
    """Return what `environ` tells of the launcher. Local; starts no MPI."""
    for row in LAUNCHERS:
        size, rank = number(environ, row.size), number(environ, row.rank)
        if size is None or rank is None:
            continue
        return Launch(
            launcher=row.name,
            process_manager=row.process_manager,
            size=size,
            size_variable=row.size,
            rank=rank,
            ends_all=row.ends_all,
        )
    return Launch()
