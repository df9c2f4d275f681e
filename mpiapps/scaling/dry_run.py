"""`mpiapps scaling --dry-run`: the commands or the job scripts of a study."""

from __future__ import annotations

import shlex
from pathlib import Path

from mpiapps.base.streams import write_out
from mpiapps.batch.render import render
from mpiapps.launch.mpiexec import command_line, find_launcher
from mpiapps.scaling.allocation import allocation_job
from mpiapps.scaling.jobs import JobStudy
from mpiapps.scaling.study import Study


def dry_run(study: Study, jobs: JobStudy | None, allocation: str) -> int:
    """Print what a study would run; return 0.

    Parameters
    ----------
    study : Study
    jobs : JobStudy, optional
        On a cluster.
    allocation : {"each", "one"}
        Whether each run is a job.
    """
    logs = Path("logs")
    if jobs is not None and allocation == "one":
        write_out(render(allocation_job(jobs, list(study.order()), logs)))
        return 0
    if jobs is not None:
        write_out("\n".join(jobs.scripts(logs)))
        return 0
    launcher = find_launcher()
    for case in study.cases:
        command, _ = command_line(
            launcher,
            case.ranks,
            [*study.words, *study.arguments_of(case)],
            is_python=study.is_python,
            unbound=case.threads > 1 or case.copies > 1,
        )
        write_out(
            f"{study.repeats} x OMP_NUM_THREADS={case.threads} {shlex.join(command)}"
            + (f"  ({case.copies} at the same time)" if case.copies > 1 else "")
            + "\n"
        )
    return 0
