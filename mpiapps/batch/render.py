"""From a checked job to the text of its script."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import jinja2

import mpiapps
from mpiapps.base.errors import UsageError
from mpiapps.base.threads import THREAD_VARIABLES
from mpiapps.batch import words
from mpiapps.batch.extra import check_directives
from mpiapps.batch.launchers import launch_of
from mpiapps.batch.request import Job, Request
from mpiapps.batch.scheduler import TABLE

# The last guard: whatever made a directive, no parser sees more than this in it.
LINE = re.compile(r"""-[A-Za-z0-9_.,:=@%+/^ $&()*"'\[\]{}|<>!~?-]+""")


def render(job: Job) -> str:
    """Return the script of `job`. Local.

    Raises
    ------
    UsageError
        If the scheduler cannot say what is asked for, or no pair of launcher and MPI
        forms a world under it.
    """
    request = job.request
    scheduler = TABLE[request.scheduler]
    check_directives(job)
    directives = scheduler.directives(job)
    for line in directives:
        if not LINE.fullmatch(line):
            raise UsageError(
                f"the directive {words.printable(line)} holds what {request.scheduler}"
                " may not read as it is; use letters, digits and _ . , : = @ % + / ^ -"
            )
    _check_path(request)
    launch = launch_of(job)
    launch_words = launch.shell(job)
    is_array = bool(request.array)
    variables = [
        (name, value)
        for name, _, value in (text.partition("=") for text in request.env)
    ]
    for word in job.words:
        words.body(word, "argument")
    return (
        _environment()
        .get_template(f"{request.scheduler}.sh.j2")
        .render(
            prefix=scheduler.prefix,
            directives=directives,
            request=request,
            site=job.site,
            ranks=_count(request.ntasks, "rank"),
            hosts=_count(request.nodes, "host"),
            version=mpiapps.__version__,
            python=request.python,
            uses_mpiexec=any("$mpiexec" in word for word in launch_words),
            recorded=job.recorded,
            chains=_chains(request),
            alone=scheduler.alone,
            submit=scheduler.submit,
            parents=[parent.folder for parent in job.parents],
            elements=[parent.elements for parent in job.parents],
            parents_may_fail=job.parents_may_fail,
            thread_variables=THREAD_VARIABLES,
            variables=variables,
            epilogs=job.epilog,
            launch=launch,
            launch_words=launch_words,
            program_words=[words.quote(word, index=is_array) for word in job.words],
        )
    )


def _check_path(request: Request) -> None:
    """Refuse what reaches other hosts of Grid Engine as two words: qrsh splits it."""
    path = str(Path(request.python).absolute())
    ranks = request.scheduler, request.mpi, request.nodes > 1
    if ranks == ("sge", "openmpi", True) and re.search(r"\s", path):
        raise UsageError(
            f"--python {words.printable(path)}: Open MPI starts nothing on other hosts"
            " of Grid Engine from a path with a blank; make the environment elsewhere,"
            " or use --mpi mpich"
        )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quote"] = words.quote
    return environment


def _chains(request: Request) -> bool:
    """Return whether a job may go on as another job, rather than start again."""
    rerun = {"slurm": False, "sge": request.nodes == 1, "pbs": False, "lsf": True}
    return not rerun[request.scheduler]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")
