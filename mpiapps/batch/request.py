"""What a job asks for, in one meaning for all schedulers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mpiapps.app.options import option
from mpiapps.base.errors import UsageError
from mpiapps.batch import words

if TYPE_CHECKING:
    from mpiapps.batch.site import Site

SCHEDULERS = ("slurm", "sge", "pbs", "lsf")
LAUNCHERS = ("mpiexec", "srun", "srun-pmix", "srun-pmi2")
MPIS = ("openmpi", "mpich", "impi")
MIB = 1024**2


@dataclass(frozen=True)
class Request:
    """The options of `render` and `submit`; ranks = nodes x ranks per node."""

    scheduler: str = option(
        "", "default: the site's, or the one this host has", choices=SCHEDULERS
    )
    site: str = option(
        "", "a site file by its name (docs/clusters.md: where), or any by its path"
    )
    nodes: int = option(1, "hosts", least=1, most=10**6)
    ranks_per_node: int = option(1, "MPI ranks on each host", least=1, most=10**4)
    threads: int = option(1, "cores of each rank", least=1, most=10**4)
    memory: int = option(
        0, "of each rank, such as 4GiB (0: the queue's default)", parse="size"
    )
    time: int = option(3600, "limit, such as 1h30m", parse="walltime", least=60)
    name: str = option("", "of the job (default: the program's)")
    account: str = option("", "who pays (default: the site's)")
    queue: str = option("", "queue or partition (default: the site's)")
    gpus: int = option(0, "GPUs of each rank", least=0, most=64)
    array: str = option(
        "",
        "run once for each index, such as 1-10, 1,3,7 or 1-99:2%%4; {index} in the"
        " program's arguments is replaced".replace("%%", "%"),
    )
    after: str = option(
        "", "start when these runs or jobs are done: ID[,ID]; any:ID if they may fail"
    )
    mail: str = option("", "addresses to write to at the end: A@B[,C@D]")
    env: tuple[str, ...] = option((), "a variable for the job", metavar="NAME=VALUE")
    directive: tuple[str, ...] = option(
        (),
        "one more option of sbatch, qsub or bsub, such as"
        " --directive=--constraint=ib; may be repeated",
        metavar="OPTION",
    )
    epilog: tuple[str, ...] = option(
        (),
        "shell command for the first host after the ranks have ended, at each start of"
        " the job; may be repeated",
        metavar="COMMAND",
    )
    launcher: str = option("", "default: the site's", choices=LAUNCHERS)
    mpi: str = option("", "default: the site's", choices=MPIS)
    python: str = option("", "interpreter on the hosts (default: this one)")
    logs: str = option("logs", "folder for output and run folders")
    warn: int = option(
        0,
        "time before the limit at which the program stops and saves"
        " (0: a tenth, 20 s to 5 min)",
        parse="walltime",
    )
    requeues: int = option(20, "how often the job may start again by itself", least=0)

    @property
    def ntasks(self) -> int:
        """Number of ranks."""
        return self.nodes * self.ranks_per_node

    @property
    def cores_per_node(self) -> int:
        """Number of cores on each host."""
        return self.ranks_per_node * self.threads

    @property
    def memory_per_node(self) -> int:
        """MiB on each host, rounded up."""
        return -(-self.memory * self.ranks_per_node // MIB)

    @property
    def margin(self) -> int:
        """Seconds before the limit at which the program stops."""
        return self.warn or max(20, min(300, self.time // 10))

    def indices(self) -> range | tuple[int, ...]:
        """Return the indices of the array; an empty range without one. Local."""
        return words.span(self.array)

    def one_range(self, scheduler: str) -> range:
        """Return the indices for a scheduler whose arrays are one range. Local.

        Raises
        ------
        UsageError
            If they are not.
        """
        indices = self.indices()
        if isinstance(indices, tuple):
            raise UsageError(
                f"--array {self.array}: an array of {scheduler} is one range with one"
                " step; submit a run for each such range"
            )
        return indices

    @property
    def at_once(self) -> str:
        """How many elements of the array may run at once, as a text; may be empty."""
        found = words.ARRAY.fullmatch(self.array)
        return (found[2] or "") if found else ""

    @property
    def after_any(self) -> bool:
        """Whether the jobs waited for may also have failed."""
        return self.after.startswith("any:")

    @property
    def after_ids(self) -> list[str]:
        """The jobs waited for."""
        return [i for i in re.split("[,:]", self.after.removeprefix("any:")) if i]


@dataclass(frozen=True)
class Parent:
    """A run that a job waits for.

    Attributes
    ----------
    folder : str
    elements : str
        The folders of its elements, as words of the shell; of no array: its folder.
    """

    folder: str
    elements: str


@dataclass(frozen=True)
class Job:
    """A checked request with what it runs.

    Attributes
    ----------
    request : Request
    site : Site
    words : tuple of str
        For Python: ``-m mpiapps.pi --samples 1e9``, or a user's ``script.py``.
    recorded : bool
        Whether the program writes a record of its end, as those of the package do.
    parents : tuple of Parent
        The runs that it waits for; single jobs are in the request.
    parents_may_fail : bool
    """

    request: Request
    site: Site
    words: tuple[str, ...]
    recorded: bool = True
    parents: tuple[Parent, ...] = ()
    parents_may_fail: bool = False

    @property
    def directives(self) -> tuple[str, ...]:
        """Further options for the scheduler: the site's, then the request's."""
        return (*self.site.directives, *self.request.directive)

    @property
    def epilog(self) -> tuple[str, ...]:
        """The scripts after the ranks: the request's, then the site's."""
        both = self.request.epilog, self.site.epilog
        return tuple("\n".join(lines) for lines in both if lines)


def complete(request: Request, site: Site, program: str) -> Request:
    """Return `request` with the site's defaults filled in, checked. Local.

    Raises
    ------
    UsageError
        If a value cannot be carried by a job script, or they do not go together.
    """
    filled = replace(
        request,
        scheduler=site.scheduler,
        name=request.name or re.sub(r".*/|\.py$", "", program),
        account=request.account or site.account,
        queue=request.queue or site.queue,
        launcher=request.launcher or site.launcher,
        mpi=request.mpi or site.mpi,
        python=request.python or site.python,
    )
    _check_words(filled)
    if filled.margin >= filled.time:
        raise UsageError(
            f"--warn {filled.margin} s leaves nothing of --time {filled.time} s; give"
            " less warning or more time"
        )
    if filled.gpus and not site.gpu_resource and filled.scheduler == "sge":
        raise UsageError(
            "--gpus: this Grid Engine site does not say how its GPUs are called; set"
            " gpu_resource in the site file"
        )
    _check_array(filled, site)
    return filled


def _check_words(request: Request) -> None:
    expected = "start with a letter; letters, digits and _ . + - only, 230 at most"
    words.fits(words.NAME, request.name, "name", expected)
    for field in ("account", "queue"):
        if value := getattr(request, field):
            words.directive(value, field)
    words.directive(request.logs, "logs")
    if request.mail:
        words.fits(
            words.MAIL, request.mail, "mail", "give addresses: name@host,name@host"
        )
    if request.after:
        words.fits(words.IDS, request.after, "after", "give job numbers: 12,13")
    for text in request.env:
        words.fits(words.VARIABLE, text, "env", "write NAME=VALUE")
        words.body(text, "--env")
    words.body(request.python, "--python")
    for text in request.epilog:
        words.body(text, "--epilog")


def _check_array(request: Request, site: Site) -> None:
    if not request.array:
        return
    words.fits(
        words.ARRAY, request.array, "array", "write 1-10, 1-10:2, 1,3,7 or 1-10%4"
    )
    indices = request.indices()
    if not indices:
        raise UsageError(f"--array {request.array} has no elements; write first-last")
    limit = site.max_array
    over = (
        indices[-1] >= limit if request.scheduler == "slurm" else len(indices) > limit
    )
    if limit and over:
        most = f"indices below {limit}" if request.scheduler == "slurm" else f"{limit}"
        raise UsageError(
            f"--array {request.array} is over this site's limit of {most} elements;"
            " split it, or give each element more work"
        )
