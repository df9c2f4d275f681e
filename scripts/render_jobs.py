"""Render jobs/: each program on Slurm, pi on each other scheduler, and the library.

The scripts are submitted from the top directory of a clone, use the interpreter of
`make demo` and one of the sites in jobs/sites, which users copy and edit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from mpiapps.app.program import programs
from mpiapps.batch.render import render
from mpiapps.batch.request import Job, Request, resolve
from mpiapps.batch.scheduler import LIBRARY, load_scheduler
from mpiapps.batch.site import read_site

JOBS = Path(__file__).parents[1] / "jobs"
# Example arguments of programs that need some; users edit them.
ARGUMENTS = {
    "dask": ("script.py",),
    "farm": ("tasks.txt",),
    "files": ("count", "logs", "--top", "20"),
    "tips": ("trips",),
    "matrix": ("multiply", "--random", "8192", "8192", "8192", "--check"),
}


def scripts() -> Iterator[tuple[Path, str]]:
    """Yield the path of each file with its text."""
    library = JOBS / "lib" / LIBRARY.name
    yield library, LIBRARY.read_text(encoding="utf-8")
    sites = [read_site(path) for path in sorted(JOBS.glob("sites/*.toml"))]
    for site in sites:
        scheduler = site.scheduler
        functions = load_scheduler(scheduler).library
        yield library.with_name(functions.name), functions.read_text(encoding="utf-8")
        for name in programs() if scheduler == "slurm" else ("pi",):
            request = Request(nodes=2, ranks_per_node=2, python=".venv/bin/python")
            words = ("-m", f"mpiapps.{name}", *ARGUMENTS.get(name, ()))
            job = Job(resolve(request, site, name), site, words)
            text = render(job, library=str(library.relative_to(JOBS.parent)))
            yield JOBS / scheduler / f"{name}.sh", text


def main() -> int:
    """Write the files and print their paths; return the exit code."""
    for path, text in scripts():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o644 if path.parent.name == "lib" else 0o755)
        print(path.relative_to(JOBS.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
