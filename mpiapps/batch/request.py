"""The request of a job, the same for all schedulers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from mpiapps.app.options import option
from mpiapps.base.errors import UsageError
from mpiapps.batch import quoting
from mpiapps.batch.launchers import LAUNCHERS
from mpiapps.batch.site import MPIS, SCHEDULERS, Site

MIB = 1024**2


@dataclass(frozen=True)
class Request:
    """The options of `render` and `submit`."""

    scheduler: str = option(
        "",
        "scheduler (default: from the site file or this host)",
        choices=tuple(SCHEDULERS),
    )
    site: str = option(
        "", "name or path of a site file (docs/clusters.md lists the directories)"
    )
    nodes: int = option(1, "number of hosts", min=1, max=10**6)
    ranks_per_node: int = option(1, "MPI ranks per host", min=1, max=10**4)
    threads: int = option(1, "cores per rank", min=1, max=10**4)
    memory: int = option(
        0, "memory per rank, such as 4GiB (0: default of the queue)", type="size"
    )
    time: int = option(3600, "time limit, such as 1h30m", type="walltime", min=60)
    name: str = option("", "name of the job (default: name of the program)")
    account: str = option("", "account to charge (default: from the site file)")
    queue: str = option("", "queue or partition (default: from the site file)")
    gpus: int = option(0, "GPUs per rank", min=0, max=64)
    array: str = option(
        "",
        "indices of a job array, such as 1-10, 1,3,7 or 1-99:2%4; {index} in the"
        " program's arguments is replaced",
    )
    dependency: str = option(
        "",
        "runs or jobs that must succeed first: ID[,ID]; any:ID if they may fail",
        alias="after",
    )
    mail_user: str = option(
        "", "mail addresses to notify at the end: A@B[,C@D]", alias="mail"
    )
    env: tuple[str, ...] = option(
        (), "environment variable of the job", metavar="NAME=VALUE"
    )
    directive: tuple[str, ...] = option(
        (),
        "further option of the submission command, such as"
        " --directive=--constraint=ib; may be repeated",
        metavar="OPTION",
    )
    epilog: tuple[str, ...] = option(
        (),
        "shell command to run on the first host after the ranks have ended, at each"
        " start of the job; may be repeated",
        metavar="COMMAND",
    )
    launcher: str = option(
        "", "launcher (default: from the site file)", choices=tuple(LAUNCHERS)
    )
    mpi: str = option("", "MPI (default: from the site file)", choices=MPIS)
    python: str = option("", "interpreter on the hosts (default: this one)")
    logs: str = option("logs", "directory for output files and run directories")
    signal_delay: int = option(
        0,
        "time before the limit at which the program stops and saves"
        " (0: a tenth, 20 s to 5 min)",
        type="walltime",
    )
    max_requeues: int = option(20, "maximum number of automatic requeues", min=0)

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
    def stop_margin(self) -> int:
        """Seconds before the limit at which the program stops."""
        return self.signal_delay or max(20, min(300, self.time // 10))

    def indices(self) -> range | tuple[int, ...]:
        """Return the indices of the array; an empty range without one."""
        return quoting.parse_indices(self.array)

    @property
    def array_parallelism(self) -> str:
        """The number of elements that may run at once, as text; empty: no limit."""
        match = quoting.ARRAY.fullmatch(self.array)
        return (match[2] or "") if match else ""

    @property
    def after_any(self) -> bool:
        """Whether the parent jobs may fail."""
        return self.dependency.startswith("any:")

    @property
    def after_ids(self) -> list[str]:
        """The IDs of the parent jobs and runs."""
        return [i for i in re.split("[,:]", self.dependency.removeprefix("any:")) if i]


@dataclass(frozen=True)
class Parent:
    """A run that a job depends on.

    Attributes
    ----------
    directory : str
    elements : str
        Directories of the array's elements, as a brace expansion, or that of the run.
    """

    directory: str
    elements: str


@dataclass(frozen=True)
class Job:
    """A checked request and the program to run.

    Attributes
    ----------
    request : Request
    site : Site
    argv : tuple of str
        Arguments of Python: ``-m mpiapps.pi --samples 1e9``, or ``script.py``.
    recorded : bool
        Whether the program writes a record, as programs of the package do.
    parents : tuple of Parent
        Runs that it depends on; the request holds single jobs.
    parents_may_fail : bool
    """

    request: Request
    site: Site
    argv: tuple[str, ...]
    recorded: bool = True
    parents: tuple[Parent, ...] = ()
    parents_may_fail: bool = False

    @property
    def directives(self) -> tuple[str, ...]:
        """Further options of the scheduler: those of the site, then of the request."""
        return (*self.site.directives, *self.request.directive)

    @property
    def epilog(self) -> tuple[str, ...]:
        """Epilog scripts: that of the request, then that of the site."""
        both = self.request.epilog, self.site.epilog
        return tuple("\n".join(lines) for lines in both if lines)


def resolve(request: Request, site: Site, program: str) -> Request:
    """Return `request`, checked, with the defaults of the site.

    Raises
    ------
    UsageError
        If a value is invalid in a job script, or values conflict.
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
    _check_texts(filled)
    if filled.stop_margin >= filled.time:
        raise UsageError(
            f"--signal-delay {filled.stop_margin} s is not shorter than --time"
            f" {filled.time} s; give a shorter delay or more time"
        )
    return filled


# Field -> pattern, and its description in errors.
PATTERNS = {
    "name": (
        quoting.NAME,
        "start with a letter; letters, digits and _ . + - only, 230 at most",
    ),
    "mail_user": (quoting.MAIL, "give addresses: name@host,name@host"),
    "dependency": (quoting.IDS, "give job numbers: 12,13"),
    "array": (quoting.ARRAY, "write 1-10, 1-10:2, 1,3,7 or 1-10%4"),
}


def _check_texts(request: Request) -> None:
    for field, (pattern, expected) in PATTERNS.items():
        value = getattr(request, field)
        if value or field == "name":
            quoting.check_pattern(pattern, value, field.replace("_", "-"), expected)
    for field in ("account", "queue", "logs"):
        value = getattr(request, field)
        if value or field == "logs":
            quoting.directive(value, field)
    for text in request.env:
        quoting.check_pattern(quoting.VARIABLE, text, "env", "write NAME=VALUE")
        quoting.check_shell_text(text, "--env")
    quoting.check_shell_text(request.python, "--python")
    for text in request.epilog:
        quoting.check_shell_text(text, "--epilog")
    if request.array and not request.indices():
        raise UsageError(f"--array {request.array} has no elements; write first-last")
