"""The request of a job, the same for all schedulers."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace

from mpiapps.base.errors import UsageError
from mpiapps.batch import quoting
from mpiapps.batch.job_parts import Parent, Stage
from mpiapps.batch.request_options import (
    EnvironmentOptions,
    ResourceOptions,
    RunOptions,
    SchedulingOptions,
)
from mpiapps.batch.request_values import EVENTS, GPUS, MOMENT, expand_hosts
from mpiapps.batch.shape import Shape, shape_of
from mpiapps.batch.site import Site

MIB = 1024**2
DEFAULT_EVENTS = "end,fail"  # of --mail-type, with --mail-user
# The sources of Python; a job has at most one of them.
PYTHONS = ("container", "conda", "venv")


@dataclass(frozen=True)
class Request(RunOptions, EnvironmentOptions, SchedulingOptions, ResourceOptions):
    """The options of `render` and `submit`; help lists those of the last base first."""

    @property
    def shape(self) -> Shape:
        """Ranks and hosts; raises `UsageError` if the options contradict."""
        return shape_of(self.nodes, self.ranks_per_node, self.ranks)

    @property
    def ntasks(self) -> int:
        """Number of ranks."""
        return self.shape.ranks

    @property
    def cores_per_node(self) -> int:
        """Number of cores on each host but the last; 0 on any hosts."""
        return self.shape.ranks_per_host * self.threads

    @property
    def memory_per_node(self) -> int:
        """MiB on each host, rounded up; 0 on any hosts."""
        return self.memory_of(self.shape.ranks_per_host)

    def memory_of(self, ranks: int) -> int:
        """Return the memory of some ranks on a host, MiB, rounded up."""
        return -(-self.memory * ranks // MIB)

    def gpus_of(self, ranks: int) -> int:
        """Return the number of GPUs of some ranks on a host."""
        match = GPUS.fullmatch(self.gpus)
        count = int(match[2]) if match else 0
        return count if self.gpus_per_host else count * ranks

    @property
    def gpus_per_host(self) -> bool:
        """Whether ``--gpus`` counts per host, for any number of ranks."""
        return self.gpus.endswith("/node")

    @property
    def gpu_type(self) -> str:
        """Type of the GPUs; empty: any."""
        return self.gpus.rpartition(":")[0]

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
class Step:
    """A launch of a job with several, on as many hosts and cores as the job or fewer.

    `name` is a word without hyphens, such as ``2n4r1t``; the nodes, ranks per node and
    threads of `request` are those of the launch; `argv` is as in `Job`.
    """

    name: str
    request: Request
    argv: tuple[str, ...]


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
    steps : tuple of Step
        Launches of a job with several; they replace `argv`.
    order : tuple of str
        The launches in order, each as NAME-NUMBER.
    stage : Stage or None
    """

    request: Request
    site: Site
    argv: tuple[str, ...]
    recorded: bool = True
    parents: tuple[Parent, ...] = ()
    parents_may_fail: bool = False
    steps: tuple[Step, ...] = ()
    order: tuple[str, ...] = ()
    stage: Stage | None = None

    @property
    def directives(self) -> tuple[str, ...]:
        """Further options of the scheduler: those of the site, then of the request."""
        return (*self.site.directives, *self.request.directive)

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of environment modules: those of the site, then of the request."""
        texts = (*self.site.modules, *self.request.module)
        return tuple(name for text in texts for name in text.split())

    @property
    def before_run(self) -> tuple[str, ...]:
        """Commands before the ranks: those of the site, then of the request."""
        return (*self.site.before_run, *self.request.before_run)

    @property
    def epilog(self) -> tuple[str, ...]:
        """Epilog scripts: that of the request, then that of the site."""
        both = self.request.epilog, self.site.epilog
        return tuple("\n".join(lines) for lines in both if lines)


def resolve(request: Request, site: Site, program: str) -> Request:
    """Return `request`, checked, with its shape and the defaults of the site.

    Raises
    ------
    UsageError
        If a value is invalid in a job script, or values conflict.
    """
    request, shape = with_environment(request, site), request.shape
    filled = replace(
        request,
        nodes=shape.hosts,
        ranks_per_node=shape.ranks_per_host,
        scheduler=site.scheduler,
        name=request.name or re.sub(r".*/|\.py$", "", program),
        account=request.account or site.account,
        queue=request.queue or site.queue,
        launcher=request.launcher or site.launcher,
        mpi=request.mpi or site.mpi,
        mail_type=request.mail_type or (DEFAULT_EVENTS if request.mail_user else ""),
    )
    _check_texts(filled)
    if filled.gpu_mps and not filled.gpus:
        raise UsageError(
            "--gpu-mps: the job requests no GPUs to share; add --gpus N/node, with"
            " fewer GPUs than ranks per host"
        )
    if filled.stop_margin >= filled.time:
        raise UsageError(
            f"--signal-delay {filled.stop_margin} s is not shorter than --time"
            f" {filled.time} s; give a shorter delay or more time"
        )
    return filled


def with_environment(request: Request, site: Site) -> Request:
    """Return the request with one source of Python: its own, else that of the site.

    Raises
    ------
    UsageError
        If it has two.
    """
    own = [name for name in PYTHONS if getattr(request, name)]
    if len(own) > 1:
        raise UsageError(
            f"--{own[0]} and --{own[1]} both bring a Python; leave one of them"
        )
    if not own and not request.python:
        values = {name: getattr(site, name) for name in PYTHONS}
        request = replace(request, **values)
    pythons = {
        "container": "python3",
        "conda": "python",
        "venv": f"{request.venv.rstrip('/')}/bin/python",
    }
    source = next((name for name in PYTHONS if getattr(request, name)), "")
    default = pythons[source] if source else site.python or sys.executable
    if request.bind and source != "container":
        raise UsageError("--bind is for --container, and the job has none")
    return replace(request, python=request.python or default)


# Field -> pattern, and its description in errors.
PATTERNS = {
    "name": (
        quoting.NAME,
        "start with a letter; letters, digits and _ . + - only, 230 at most",
    ),
    "mail_user": (quoting.MAIL, "give addresses: name@host,name@host"),
    "dependency": (quoting.IDS, "give job numbers: 12,13"),
    "array": (quoting.ARRAY, "write 1-10, 1-10:2, 1,3,7 or 1-10%4"),
    "begin": (MOMENT, "write 2026-12-01T08:00:00, or +7200 for seconds from now"),
    "deadline": (MOMENT, "write 2026-12-01T08:00:00, or +7200 for seconds from now"),
    "mail_type": (EVENTS, "write begin, end, fail, all or none"),
    "gpus": (GPUS, "write N or TYPE:N, such as 2 or a100:2, or N/node"),
    "constraint": (
        quoting.CONSTRAINT,
        "write features joined by & or |, such as ib or ib&avx512",
    ),
    "licenses": (quoting.LICENSES, "write NAME:N, such as matlab:2"),
    "comment": (
        quoting.COMMENT,
        "use letters, digits, blanks and _ . : = @ % + / ^ - only",
    ),
}


def _check_texts(request: Request) -> None:
    for field, (pattern, expected) in PATTERNS.items():
        value = getattr(request, field)
        if value or field == "name":
            quoting.check_pattern(pattern, value, field.replace("_", "-"), expected)
    for field in ("account", "queue", "qos", "reservation", "clusters", "logs"):
        value = getattr(request, field)
        if value or field == "logs":
            quoting.directive(value, field)
    _check_hosts(request)
    for text in request.env:
        quoting.check_pattern(quoting.VARIABLE, text, "env", "write NAME=VALUE")
        quoting.check_shell_text(text, "--env")
    quoting.check_shell_text(request.python, "--python")
    for field in ("setup", "conda", "venv", "container"):
        quoting.check_shell_text(getattr(request, field), f"--{field}")
    for field in ("module", "bind", "before_run", "epilog"):
        for text in getattr(request, field):
            quoting.check_shell_text(text, f"--{field.replace('_', '-')}")
    if request.array and not request.indices():
        raise UsageError(f"--array {request.array} has no elements; write first-last")


def _check_hosts(request: Request) -> None:
    """Raise `UsageError` for lists of hosts that are invalid or contradict."""
    hosts: dict[str, list[str]] = {}
    for field in ("nodelist", "exclude"):
        try:
            text = getattr(request, field)
            hosts[field] = expand_hosts(text) if text else []
        except ValueError as error:
            raise UsageError(f"--{field} {error}") from error
    if both := [host for host in hosts["nodelist"] if host in hosts["exclude"]]:
        raise UsageError(f"{both[0]} is in both --nodelist and --exclude; leave one")
    shape = request.shape
    if len(hosts["nodelist"]) > shape.max_hosts:
        option = "nodes" if shape.hosts else "ranks"
        raise UsageError(
            f"--nodelist {request.nodelist} has {len(hosts['nodelist'])} hosts, which"
            f" the job must all include, and --{option} is {shape.max_hosts}; list"
            " fewer hosts, or leave the choice to the scheduler by --constraint or"
            " --exclude"
        )
