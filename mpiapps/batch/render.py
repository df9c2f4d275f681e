"""Render the script of a checked job."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import jinja2

import mpiapps
from mpiapps.base.errors import UsageError
from mpiapps.base.threads import THREAD_VARIABLES
from mpiapps.batch import quoting
from mpiapps.batch.extra_directives import check_directives
from mpiapps.batch.launchers import launch_of
from mpiapps.batch.request import Job, Request
from mpiapps.batch.scheduler import TABLE

# Characters of a directive line; no scheduler's parser gets any others.
LINE = re.compile(r"""-[A-Za-z0-9_.,:=@%+/^ $&()*"'\[\]{}|<>!~?-]+""")


LIBRARY = Path(__file__).parent / "library" / "job_library.sh"


def render(job: Job, *, standalone: bool = False, library: str = str(LIBRARY)) -> str:
    """Return the script of `job`.

    Parameters
    ----------
    job : Job
    standalone : bool
        Whether the script contains the shell library, rather than a `.` command.
    library : str
        Path of the library for a run without a copy of its own.

    Raises
    ------
    UsageError
        If the scheduler cannot express the request, or the launcher and the MPI form
        no common world under it.
    """
    request = job.request
    scheduler = TABLE[request.scheduler]
    check_directives(job)
    directives = scheduler.directives(job)
    for line in directives:
        if not LINE.fullmatch(line):
            raise UsageError(
                f"the directive {quoting.printable(line)} has characters that"
                f" {request.scheduler} may interpret; use letters, digits and"
                " _ . , : = @ % + / ^ -"
            )
    _check_path(request)
    launch = launch_of(job)
    launch_words = launch.shell(job)
    is_array = bool(request.array)
    variables = [
        (name, value)
        for name, _, value in (text.partition("=") for text in request.env)
    ]
    for word in job.argv:
        quoting.check_shell_text(word, "argument")
    return (
        _environment()
        .get_template("script.sh.j2")
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
            submit_directory=scheduler.submit_directory,
            standalone=standalone,
            library=library,
            library_text=LIBRARY.read_text(encoding="utf-8") if standalone else "",
            parents=job.parents,
            parents_may_fail=job.parents_may_fail,
            thread_variables=THREAD_VARIABLES,
            variables=variables,
            epilogs=job.epilog,
            launch=launch,
            launch_words=launch_words,
            program_words=[quoting.quote(word, index=is_array) for word in job.argv],
        )
    )


def _check_path(request: Request) -> None:
    """Refuse a path with blanks where Grid Engine's qrsh would split it."""
    path = str(Path(request.python).absolute())
    ranks = request.scheduler, request.mpi, request.nodes > 1
    if ranks == ("sge", "openmpi", True) and re.search(r"\s", path):
        raise UsageError(
            f"--python {quoting.printable(path)}: under Grid Engine, Open MPI cannot"
            " start ranks on other hosts from a path with a blank; create the"
            " environment elsewhere, or use --mpi mpich"
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
    environment.filters["quote"] = quoting.quote
    return environment


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number != 1 else "")
