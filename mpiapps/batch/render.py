"""Render the script of a checked job."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mpiapps
from mpiapps.base.errors import UsageError
from mpiapps.base.threads import THREAD_VARIABLES
from mpiapps.batch import quoting
from mpiapps.batch.environment import (
    before_run_lines,
    host_mpiexec,
    setup_lines,
)
from mpiapps.batch.extra_directives import check_directives
from mpiapps.batch.launchers import LaunchCommand, launch_command, load_launcher
from mpiapps.batch.lowering import refuse_unlowered
from mpiapps.batch.request import Job, Request, Step
from mpiapps.batch.scheduler import LIBRARY, Scheduler, load_scheduler

if TYPE_CHECKING:
    import jinja2

MPS = LIBRARY.with_name("job_mps.sh")
STEPS = LIBRARY.with_name("job_steps.sh")
# Characters that no scheduler's parser treats specially on a directive line.
LINE = re.compile(r"""-[A-Za-z0-9_.,:=@%+/^ $&()*"'\[\]{}|<>!~?-]+""")


def render(job: Job, *, standalone: bool = False, library: str = str(LIBRARY)) -> str:
    """Return the script of `job`.

    Parameters
    ----------
    job : Job
    standalone : bool
        Whether the script contains the shell library, rather than a `.` command.
    library : str
        Path of the common library for a run without a copy of its own.

    Raises
    ------
    UsageError
        If the scheduler cannot express the request, or the launcher and the MPI form
        no common world under it.
    """
    request = job.request
    scheduler = load_scheduler(request.scheduler)
    check_directives(job, scheduler.syntax)
    refuse_unlowered(job, scheduler.lowerings, scheduler.name)
    if not (scheduler.uneven_hosts or request.shape.is_even):
        raise UsageError(
            f"--ranks {request.ranks}: mpiapps has no directives for {request.shape} on"
            f" {request.scheduler}; use --nodes and --ranks-per-node"
        )
    if request.array:
        scheduler.check_array(job)
    directives = scheduler.directives(job)
    for line in directives:
        if not LINE.fullmatch(line):
            raise UsageError(
                f"the directive {quoting.printable(line)} has characters that"
                f" {request.scheduler} may interpret; use letters, digits and"
                " _ . , : = @ % + / ^ -"
            )
    steps = [_step(step, job, scheduler) for step in job.steps or (_only_step(job),)]
    by_script = request.gpu_mps and not scheduler.starts_mps
    beside_common = scheduler.library.parent == LIBRARY.parent
    return (
        _environment()
        .get_template("script.sh.j2")
        .render(
            prefix=scheduler.syntax.prefix,
            directives=directives,
            request=request,
            site=job.site,
            shape=request.shape,
            version=mpiapps.__version__,
            python=request.python,
            uses_mpiexec="$mpiexec" in steps[0]["launch"].text,
            recorded=job.recorded,
            submit_directory=scheduler.submit_directory,
            standalone=standalone,
            library=library,
            library_text=scheduler.shell_library() if standalone else "",
            scheduler_library="" if beside_common else str(scheduler.library),
            setup=setup_lines(job),
            before_run=before_run_lines(job),
            host_mpiexec=host_mpiexec(job),
            parents=job.parents,
            parents_may_fail=job.parents_may_fail,
            thread_variables=THREAD_VARIABLES,
            variables=[text.partition("=")[::2] for text in request.env],
            epilogs=job.epilog,
            before_launch=dict.fromkeys(
                line for step in steps for line in step["launch"].before
            ),
            steps=steps,
            order=job.order,
            stage=job.stage,
            mps_library=MPS.read_text(encoding="utf-8") if by_script else "",
            steps_library=STEPS.read_text(encoding="utf-8") if job.order else "",
        )
    )


def _only_step(job: Job) -> Step:
    return Step(job.request.name, job.request, job.argv)


def _step(step: Step, job: Job, scheduler: Scheduler) -> dict[str, Any]:
    """Return what the template needs of a launch."""
    for word in step.argv:
        quoting.check_shell_text(word, "argument")
    request, is_array = step.request, bool(step.request.array)
    words = [quoting.quote(word, index=is_array) for word in step.argv]
    if job.stage and job.stage.program:
        words[0] = '"$program"'
    return {
        "name": step.name,
        "title": str(request.shape),
        "ntasks": request.ntasks,
        "threads": request.threads,
        "launch": _launch_command(request, job, scheduler),
        "words": words,
    }


def _launch_command(request: Request, job: Job, scheduler: Scheduler) -> LaunchCommand:
    """Return the launch command of the site, or of the launcher and the scheduler."""
    site = job.site
    if site.launch:
        command = LaunchCommand(" ".join(site.launch))
    else:
        pair = request.launcher, request.mpi
        command = launch_command(*pair, scheduler.name)
        command += scheduler.launch_additions.get(pair, LaunchCommand())
        if job.steps:
            command += LaunchCommand(load_launcher(request.launcher).step)
    names = ("ntasks", "nodes", "ranks_per_node", "threads")
    values = {name: getattr(request, name) for name in names}
    command = command.for_shape(request.shape)
    return command.filled(values | {"pmi_library": site.pmi_library})


@cache
def _environment() -> jinja2.Environment:
    import jinja2  # the commands that render nothing start faster without it

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
