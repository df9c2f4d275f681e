"""The table of schedulers, with what differs between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mpiapps.batch import lsf, pbs, sge, slurm
from mpiapps.batch.job_state import Answers, JobId, Submission
from mpiapps.batch.request import Job


@dataclass(frozen=True)
class Scheduler:
    """One scheduler.

    Attributes
    ----------
    prefix : str
        Start of a directive line.
    directives : callable
        Return the directive lines of a job, without the prefix.
    submission : callable
        Return the command that submits a script.
    reads_stdin : bool
        Whether that command reads the script from its standard input.
    check : tuple of str
        Command that checks a script without submitting it, if there is one.
    job_id : callable
        Return the job from the output of the submission command.
    cluster : callable
        Return the default cluster of this host.
    federated : bool
        Whether commands can query other clusters.
    seen : callable
        Return the status of jobs, by number; of array elements by `element`. The
        second argument is the cluster, or empty for the default one.
    cancel : callable
        Return the command that cancels jobs of a cluster; job numbers follow.
    asks : str
        Command that queries jobs.
    submit_directory : str
        Variable of a job with the folder that it was submitted from.
    array : str
        Pattern of the array directive; its group is the indices.
    output : str
        Pattern of the names of output files, with ``{name}`` and ``{number}``.
    """

    name: str
    prefix: str
    directives: Callable[[Job], list[str]]
    submission: Callable[[Submission], list[str]]
    job_id: Callable[[str], JobId | None]
    cluster: Callable[[], str]
    seen: Callable[[Sequence[str], str], Answers]
    cancel: Callable[[str], list[str]]
    asks: str
    submit_directory: str
    array: str
    output: str
    federated: bool = False
    check: tuple[str, ...] = ()
    reads_stdin: bool = False


TABLE: Mapping[str, Scheduler] = {
    "slurm": Scheduler(
        name="slurm",
        prefix="#SBATCH",
        directives=slurm.directives,
        submission=slurm.submission,
        job_id=slurm.job_id,
        cluster=slurm.cluster,
        seen=slurm.seen,
        cancel=slurm.cancel,
        asks="squeue",
        submit_directory="SLURM_SUBMIT_DIR",
        array=r"^#SBATCH --array=([0-9:,-]+)",
        output=r"{name}-{number}(_\d+)?\.out",
        federated=True,
        check=("sbatch", "--test-only"),
    ),
    "sge": Scheduler(
        name="sge",
        prefix="#$",
        directives=sge.directives,
        submission=sge.submission,
        job_id=sge.job_id,
        cluster=sge.cluster,
        seen=sge.seen,
        cancel=lambda _: ["qdel"],
        asks="qstat",
        submit_directory="SGE_O_WORKDIR",
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
        cluster=pbs.cluster,
        seen=pbs.seen,
        cancel=lambda _: ["qdel"],
        asks="qstat",
        submit_directory="PBS_O_WORKDIR",
        array=r"^#PBS -J ([0-9:-]+)",
        output=r"{number}(\[\d+\])?\.\S*OU|{name}\.o{number}(\.\d+)?",
    ),
    "lsf": Scheduler(
        name="lsf",
        prefix="#BSUB",
        directives=lsf.directives,
        submission=lsf.submission,
        job_id=lsf.job_id,
        cluster=lsf.cluster,
        seen=lsf.seen,
        cancel=lambda _: ["bkill"],
        asks="bjobs",
        submit_directory="LS_SUBCWD",
        array=r"^#BSUB -J \"[^\"]*\[([0-9:,-]+)\]",
        output=r"({name}-)?{number}(_\d+)?\.out",
        reads_stdin=True,
    ),
}
