"""The schedulers, one row each: what differs between them, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mpiapps.batch import lsf, pbs, sge, slurm
from mpiapps.batch.request import Job
from mpiapps.batch.state import Answers, JobId, Submission


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
        The command that submits a script.
    reads_stdin : bool
        Whether that command reads the script from its standard input.
    check : tuple of str
        The command that has a script looked at without submitting it, if there is one.
    job_id : callable
        The job in what that command prints.
    cluster : callable
        The cluster that this host's commands ask.
    federated : bool
        Whether they can ask another one.
    seen : callable
        What it tells of jobs, by number; elements of arrays by `element`. Its second
        argument is their cluster, if that is another one.
    cancel : callable
        The command that ends jobs of such a cluster; their numbers follow.
    asks : str
        The command that tells of jobs.
    submit : str
        What a person types before a script's name to submit it.
    alone : str
        Pattern, in grep's basic syntax, of the options that a link of a chain must not
        inherit from its script: it is no array, and waits for other jobs.
    array : str
        Pattern of the directive that makes an array; its group is the indices.
    output : str
        Pattern of the names of its output files, with ``{name}`` and ``{number}``.
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
    submit: str
    alone: str
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
        submit="sbatch",
        alone=r"--\(array\|dependency\|kill-on-invalid-dep\)\|-[ad]",
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
        submit="qsub",
        alone=r"-\(t\|tc\|hold_jid\|hold_jid_ad\) ",
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
        submit="qsub",
        alone=r"-J\|-W *depend=",
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
        submit="bsub <",
        alone=r"-w ",
        array=r"^#BSUB -J \"[^\"]*\[([0-9:,-]+)\]",
        output=r"({name}-)?{number}(_\d+)?\.out",
        reads_stdin=True,
    ),
}
