"""The schedulers, one row each: what differs between them, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mpiapps.batch import lsf, pbs, sge, slurm
from mpiapps.batch.client import Answers
from mpiapps.batch.request import Job


@dataclass(frozen=True)
class Scheduler:
    """One scheduler.

    Attributes
    ----------
    prefix : str
        What begins a directive line.
    directives : callable
        The lines without the prefix, for a job.
    submission : callable
        The command for a script and variables to hand over.
    reads_stdin : bool
        Whether that command reads the script from its standard input.
    check : tuple of str
        The command that has a script looked at without submitting it, if there is one.
    job_id : callable
        The job's number in what that command prints.
    seen : callable
        What it tells of jobs, by number; elements of arrays by ``NUMBER_INDEX``.
    cancel : tuple of str
        The command that ends jobs; their numbers follow.
    array : str
        Pattern of the directive that makes an array; its group is the indices.
    output : str
        Pattern of the names of its output files, with ``{name}`` and ``{number}``.
    """

    name: str
    prefix: str
    directives: Callable[[Job], list[str]]
    submission: Callable[[str, Sequence[str]], list[str]]
    job_id: Callable[[str], str | None]
    seen: Callable[[Sequence[str]], Answers]
    cancel: tuple[str, ...]
    array: str
    output: str
    check: tuple[str, ...] = ()
    reads_stdin: bool = False


TABLE: Mapping[str, Scheduler] = {
    "slurm": Scheduler(
        name="slurm",
        prefix="#SBATCH",
        directives=slurm.directives,
        submission=slurm.submission,
        job_id=slurm.job_id,
        seen=slurm.seen,
        cancel=("scancel",),
        array=r"^#SBATCH --array=([0-9:-]+)",
        output=r"{name}-{number}(_\d+)?\.out",
        check=("sbatch", "--test-only"),
    ),
    "sge": Scheduler(
        name="sge",
        prefix="#$",
        directives=sge.directives,
        submission=sge.submission,
        job_id=sge.job_id,
        seen=sge.seen,
        cancel=("qdel",),
        array=r"^#\$ -t ([0-9:-]+)",
        output=r"{name}\.{number}(\.\d+)?\.out",
        check=("qsub", "-verify"),
    ),
    "pbs": Scheduler(
        name="pbs",
        prefix="#PBS",
        directives=pbs.directives,
        submission=pbs.submission,
        job_id=pbs.job_id,
        seen=pbs.seen,
        cancel=("qdel",),
        array=r"^#PBS -J ([0-9:-]+)",
        output=r"{number}\.\S*OU|{name}\.o{number}(\.\d+)?",
    ),
    "lsf": Scheduler(
        name="lsf",
        prefix="#BSUB",
        directives=lsf.directives,
        submission=lsf.submission,
        job_id=lsf.job_id,
        seen=lsf.seen,
        cancel=("bkill",),
        array=r"^#BSUB -J \"[^\"]*\[([0-9:-]+)\]",
        output=r"{name}-{number}(_\d+)?\.out",
        reads_stdin=True,
    ),
}
