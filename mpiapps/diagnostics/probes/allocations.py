"""Probes of slots that PBS, LSF, Grid Engine and host files give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mpiapps.base.launch_environment import (
    JOB_NTASKS,
    allocated_hosts,
    allocated_slots,
    detect_launch,
    int_variable,
)
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

HOSTFILES = ("OMPI_MCA_orte_default_hostfile", "PRTE_MCA_prte_default_hostfile",
             "I_MPI_HYDRA_HOST_FILE", "HYDRA_HOST_FILE")  # fmt: skip


@probe(
    "slots",
    examines="slots of PBS_NODEFILE or of a host file, against the ranks",
    symptom="`There are not enough slots available in the system`",
)
def slots(system: System) -> Iterator[Finding]:
    """Find fewer slots than ranks: PBS without mpiprocs, or a short host file."""
    ranks = system.ntasks or int_variable(system.environ, JOB_NTASKS) or 0
    sources = {
        name: Path(system.environ[name])
        for name in ("PBS_NODEFILE", *HOSTFILES)
        if name in system.environ
    }
    if not sources:
        raise NotApplicable("neither PBS_NODEFILE nor a host file is set")
    for name, path in sources.items():
        try:
            count = _slots(path.read_text(), lines_only=name == "PBS_NODEFILE")
        except OSError as error:
            yield Finding(
                ERROR,
                f"{name}={path}: {error.strerror}",
                "mpiexec does not start.",
                f"unset {name}, or create the file",
            )
            continue
        cores = int_variable(system.environ, "NCPUS") or 0
        total = sum(count.values())
        if name == "PBS_NODEFILE" and cores > 1 and total == len(count):
            threads = int_variable(system.environ, "OMP_NUM_THREADS") or 0
            if threads == cores and not ranks > total:
                continue  # one rank per host with all cores, as asked for
            yield Finding(
                WARNING,
                f"{path} has one slot per host, and NCPUS={cores}",
                "PBS was asked for cores and not for ranks: mpiexec starts one rank per"
                " host, or finds not enough slots.",
                f"#PBS -l select={len(count)}:ncpus={cores}:mpiprocs={cores}",
                LIKELY,
            )
        elif ranks > total:
            yield Finding(
                ERROR,
                f"{ranks} ranks, and {total} slots in {name}={path}",
                "mpiexec of Open MPI refuses to start them.",
                "request one slot per rank (PBS: mpiprocs=RANKS), or mpiexec --map-by"
                " :OVERSUBSCRIBE",
            )


def _slots(text: str, *, lines_only: bool) -> Counter[str]:
    """Return the slots by host: lines, or ``slots=N`` and ``host:N``."""
    count: Counter[str] = Counter()
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        host, _, number = words[0].partition(":")
        options = [w.partition("=")[2] for w in words[1:] if w.startswith("slots=")]
        given = "" if lines_only else (options or [number])[0]
        count[host] += int(given) if given.isdigit() else 1
    return count


@probe(
    "job-slots",
    examines="slots of a PBS, LSF or Grid Engine job, against the launcher",
    symptom="one process in a job of many slots, or N times `rank 0 of 1`",
)
def job_slots(system: System) -> Iterator[Finding]:
    """Warn of slots of one host that a plain process does not use.

    A launcher without variables cannot be distinguished from a program with threads.
    """
    slots, source = allocated_slots(system.environ)
    if slots < 2:
        raise NotApplicable("not in a PBS, LSF or Grid Engine job of several slots")
    known = detect_launch(system.environ).launcher or JOB_NTASKS in system.environ
    threads = int_variable(system.environ, "OMP_NUM_THREADS") or 1
    if known or threads >= slots or allocated_hosts(system.environ) > 1:
        return  # several hosts: the launch guard ends with an error
    yield Finding(
        WARNING,
        f"the job has {slots} slots ({source}) on one host, no known launcher has"
        f" started this process, and OMP_NUM_THREADS is {threads}",
        "If pbsdsh, blaunch or qrsh starts several copies, each is rank 0 of 1, and"
        " nothing reports it.",
        f"mpiapps submit, or mpiexec -n {slots} python ..., or for threads export"
        f" OMP_NUM_THREADS={slots}; export MPIAPPS_NTASKS=N makes the launch guard"
        " check it",
        POSSIBLE,
    )
