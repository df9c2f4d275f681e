"""Probes of Slurm: srun, its plugins, its variables."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

from mpiapps.base.launch_environment import int_variable
from mpiapps.diagnostics.probe import (
    ERROR,
    LIKELY,
    POSSIBLE,
    WARNING,
    Finding,
    NotApplicable,
    probe,
)
from mpiapps.diagnostics.system import System

# Protocol of the library -> plugins of ``srun --mpi`` that provide it.
PLUGINS = {"PMIx": ("pmix",), "PMI": ("pmi2", "cray_shasta")}
CONFIGURATIONS = ("/etc/slurm/slurm.conf", "/etc/slurm-llnl/slurm.conf")
MUNGE_SOCKET = "/run/munge/munge.socket.2"
WIRING = ("PMI_RANK", "PMI_FD", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "PMI_CONTROL_PORT")
# ``SLURM_STEP_ID`` of shells that salloc starts, and of batch scripts.
INTERACTIVE_STEPS = ("4294967290", "4294967291", "4294967294")
# srun ignores SLURM_CPUS_PER_TASK in these versions (Slurm's RELEASE_NOTES).
IGNORES_CPUS = ((22, 5), (23, 11))


@probe(
    "srun-mpi",
    examines="plugins in `srun --mpi=list`, against the loaded MPI library",
    symptom="`direct launched using srun`, or N times `rank 0 of 1`",
)
def srun_mpi(system: System) -> Iterator[Finding]:
    """Find a Slurm without a plugin for the library."""
    if system.which("srun") is None:
        raise NotApplicable("no srun on PATH")
    listed = system.run(["srun", "--mpi=list"])
    if listed.code != 0:
        if not system.in_slurm():
            raise NotApplicable("srun does not reach a Slurm controller")
        yield Finding(
            WARNING,
            f"`srun --mpi=list` fails in a job: {listed.text.strip()[-200:]}",
            "srun cannot start ranks on this host.",
            "use `--launcher mpiexec` of `mpiapps submit`; report it to the site",
        )
        return
    wanted = PLUGINS.get(system.library.protocol, ())
    plugins = re.findall(r"\b(\w+)\b", listed.text)
    if wanted and not any(p.startswith(wanted) for p in plugins):
        known = [p for p in plugins if re.match(r"pmi|cray|openmpi|none", p)]
        yield Finding(
            WARNING,
            f"srun has the plugins {', '.join(known) or 'none'};"
            f" {system.library} needs {' or '.join(wanted)}",
            "Started by srun, the ranks abort in MPI_Init, or each is rank 0 of 1.",
            "mpiapps submit --launcher mpiexec ..., or in a script mpiexec instead of"
            " srun",
        )


@probe(
    "munge",
    examines="the socket of munge, which authenticates Slurm and PMIx",
    symptom="`psec munge`, `listener thread failed to start`",
)
def munge(system: System) -> Iterator[Finding]:
    """Find a host of a cluster whose munge daemon does not answer."""
    names = [system.environ.get("SLURM_CONF", ""), *CONFIGURATIONS]
    text = next((t for name in names if name and (t := system.read(name))), "")
    if not text:
        raise NotApplicable("no slurm.conf on this host")
    if re.search(r"^\s*AuthType\s*=\s*(?!auth/munge)", text, re.M | re.I):
        raise NotApplicable("Slurm authenticates without munge")
    own = re.search(r"^\s*AuthInfo\s*=.*?socket=([^,\s]+)", text, re.M | re.I)
    path = system.path(own[1] if own else MUNGE_SOCKET)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(path))
    except OSError as error:
        yield Finding(
            ERROR,
            f"{path}: {error.strerror or error}",
            "Slurm commands and PMIx with `psec munge` fail on this host.",
            "export PMIX_MCA_psec=native for mpiexec and srun --mpi=pmix; ask the site"
            " to start munge (systemctl start munge)",
        )


@probe(
    "slurm-cpus",
    examines="SLURM_CPUS_PER_TASK, SRUN_CPUS_PER_TASK and SLURM_TRES_PER_TASK",
    symptom="one core per rank under srun, or"
    " `cpus-per-task set by two different environment variables`",
)
def slurm_cpus(system: System) -> Iterator[Finding]:
    """Find cores that a step does not get, or contradicting variables."""
    if not system.in_slurm():
        raise NotApplicable("not in a Slurm job")
    cpus = int_variable(system.environ, "SLURM_CPUS_PER_TASK")
    tres = system.environ.get("SLURM_TRES_PER_TASK", "")
    match = re.search(r"\bcpu[=:](\d+)", tres)
    if cpus and match and int(match[1]) != cpus:
        yield Finding(
            ERROR,
            f"SLURM_CPUS_PER_TASK={cpus}, but SLURM_TRES_PER_TASK={tres}",
            "srun of Slurm 23.11 and later refuses to start a step.",
            "unset SLURM_TRES_PER_TASK before srun",
        )
    if not cpus or cpus == 1 or "SRUN_CPUS_PER_TASK" in system.environ:
        return
    version = _version(system)
    if IGNORES_CPUS[0] <= version < IGNORES_CPUS[1]:
        yield Finding(
            WARNING,
            f"SLURM_CPUS_PER_TASK={cpus} and no SRUN_CPUS_PER_TASK, with Slurm"
            f" {version[0]}.{version[1]:02}",
            "srun of this version gives each rank one core, unless it is told.",
            "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK, or srun --cpus-per-task;"
            " scripts of mpiapps do",
            LIKELY,
        )


def _version(system: System) -> tuple[int, int]:
    match = re.search(r"(\d+)\.(\d+)", system.run(["srun", "--version"]).text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


@probe(
    "slurm-step",
    examines="whether this process is in a job step that holds all resources",
    symptom="`Job step creation temporarily disabled, retrying`",
)
def slurm_step(system: System) -> Iterator[Finding]:
    """Find a shell of ``srun --pty``, in which another srun waits forever."""
    step = system.environ.get("SLURM_STEP_ID")
    if not system.in_slurm() or step is None:
        raise NotApplicable("not in a job step")
    overlaps = system.environ.get("SLURM_OVERLAP")
    if step in INTERACTIVE_STEPS or overlaps or "SLURM_PTY_PORT" not in system.environ:
        return
    yield Finding(
        WARNING,
        f"this shell is job step {step}, and holds the memory and GPUs of the job",
        "An srun inside it waits until this step ends: forever.",
        "srun --overlap --exact --mem=0 ..., or start the shell by salloc",
        LIKELY,
    )


@probe(
    "hardware-threads",
    examines="cores of this host against the CPUs that Slurm counts",
    symptom="`PE=` fails on Open MPI 5.0.8; two ranks share a core",
)
def hardware_threads(system: System) -> Iterator[Finding]:
    """Find a Slurm whose CPUs are hardware threads."""
    if not system.in_slurm():
        raise NotApplicable("not in a Slurm job")
    cores = len({system.read(_siblings(cpu)) or str(cpu) for cpu in system.cpus})
    counted = int_variable(system.environ, "SLURM_CPUS_ON_NODE") or 0
    if counted > cores and len(system.cpus) > cores:
        per_task = int_variable(system.environ, "SLURM_CPUS_PER_TASK") or 1
        yield Finding(
            WARNING,
            f"SLURM_CPUS_ON_NODE={counted} are hardware threads of {cores} cores",
            "mpiexec counts cores: with one rank or thread per CPU it finds too few"
            " slots, or two share a core.",
            "submit with --directive=--hint=nomultithread; or mpiexec --map-by"
            f" ppr:N:node:PE={per_task}:HWTCPUS",
            POSSIBLE,
        )


def _siblings(cpu: int) -> str:
    return f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"


@probe(
    "container-srun",
    examines="variables of srun's start-up protocol in a container or job step",
    symptom="a container runs N times as N programs of one rank",
)
def container_srun(system: System) -> Iterator[Finding]:
    """Find a step of several tasks without the variables that MPI needs."""
    ntasks = int_variable(system.environ, "SLURM_STEP_NUM_TASKS") or 1
    if ntasks == 1:
        raise NotApplicable("not in a job step of several tasks")
    if any(name in system.environ for name in WIRING):
        return
    where = "in this container " if system.is_container() else ""
    wanted = PLUGINS.get(system.library.protocol, ("pmix", "pmi2"))
    yield Finding(
        ERROR,
        f"srun has started {ntasks} tasks, and {where}there is none of"
        f" {', '.join(WIRING[:3])}",
        f"Each of the {ntasks} processes is rank 0 of a world of size 1.",
        f"srun --mpi={wanted[0]} ..."
        + (", and apptainer without --cleanenv" if where else ""),
    )
