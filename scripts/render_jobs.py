"""Render jobs/<scheduler>/<program>.sh, each program on each scheduler.

They are for a clone: submitted from its top folder, with the interpreter of `make demo`
and one of the sites in jobs/sites, which are there to be copied and edited.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from mpiapps.app.program import programs
from mpiapps.batch.render import render
from mpiapps.batch.request import SCHEDULERS, Job, Request, complete
from mpiapps.batch.site import read_site

JOBS = Path(__file__).parents[1] / "jobs"
# What a program needs to do something; to be edited.
ARGUMENTS = {
    "dask": ("script.py",),
    "farm": ("tasks.txt",),
    "files": ("count", "logs", "--top", "20"),
    "tips": ("trips",),
    "matrix": ("multiply", "--random", "8192", "8192", "8192", "--check"),
}


def scripts() -> Iterator[tuple[Path, str]]:
    """Yield the path of each script with its text. Local."""
    for scheduler in SCHEDULERS:
        site = read_site(JOBS / "sites" / f"{scheduler}.toml")
        for name in programs():
            request = Request(nodes=2, ranks_per_node=2, python=".venv/bin/python")
            words = ("-m", f"mpiapps.{name}", *ARGUMENTS.get(name, ()))
            job = Job(complete(request, site, name), site, words)
            yield JOBS / scheduler / f"{name}.sh", render(job)


def main() -> int:
    """Write them; return the exit code."""
    for path, text in scripts():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        print(path.relative_to(JOBS.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
