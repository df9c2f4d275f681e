"""Jobs for the tests: a request, a site, and what is rendered from them."""

from __future__ import annotations

from typing import Any

from mpiapps.batch.render import render
from mpiapps.batch.request import Job, Request, resolve
from mpiapps.batch.site import Site

SITES = {
    "slurm": Site("slurm", "slurm", max_array=1001),
    "sge": Site(
        "sge",
        "sge",
        parallel_environments={"mpi4": "4", "mpi8": "8", "smp": "$pe_slots"},
        memory_resource="h_vmem",
        gpu_resource="gpu",
        gpu_type_resource="gpu_type",
        exclusive_resource="exclusive",
        max_array=1000,
    ),
    "pbs": Site("pbs", "pbs", gpu_type_resource="gpu_model", max_array=10000),
    "lsf": Site("lsf", "lsf", max_array=1000),
}


def job(scheduler: str, *words: str, site: Site | None = None, **asked: Any) -> Job:
    """Return a checked job on one of the sites; words default to pi's."""
    where = site or SITES[scheduler]
    asked = {"python": ".venv/bin/python"} | asked
    request = resolve(Request(**asked), where, "pi")
    return Job(request, where, words or ("-m", "mpiapps.pi"))


def script(
    scheduler: str,
    *words: str,
    site: Site | None = None,
    standalone: bool = False,
    **asked: Any,
) -> str:
    """Return the rendered script of such a job."""
    return render(job(scheduler, *words, site=site, **asked), standalone=standalone)


def directives(text: str) -> list[str]:
    """Return the directive lines of a script, without their prefixes."""
    lines = text.splitlines()[1:]
    end = next(i for i, line in enumerate(lines) if line[:2] == "# ")
    return [line.split(" ", 1)[1] for line in lines[:end]]
