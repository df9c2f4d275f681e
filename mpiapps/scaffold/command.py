"""Write a package with one program from the files in `start`."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shlex
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory

from mpiapps.app.program import programs
from mpiapps.base.errors import UsageError, os_errors
from mpiapps.base.streams import write_out
from mpiapps.batch.render import render
from mpiapps.batch.request import Job, Request, resolve
from mpiapps.batch.scheduler import LIBRARY, load_scheduler
from mpiapps.batch.site import Site
from mpiapps.batch.site_search import find_site
from mpiapps.launch.mpi_wheels import only_mpi

START = Path(__file__).with_name("start")
# The files of `start`, and the name in them that the name of the package replaces.
FILES = (
    "README.md",
    "pyproject.toml",
    ".gitignore",
    ".github/workflows/ci.yml",
    "myprogram/__init__.py",
    "myprogram/program.py",
    "tests/conftest.py",
    "tests/on_ranks.py",
    "tests/test_program.py",
    "logs/.gitignore",
)
PLACEHOLDER = "myprogram"
# An identifier that package registries accept as well.
NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?")
OWN_DIRECTORIES = ("jobs", "logs", "tests")


def new(values: Namespace) -> int:
    """Write the package and print the next commands; return 0."""
    check_name(values.name)
    target = Path(values.directory or values.name)
    if os.path.lexists(target):
        raise UsageError(f"{target} exists; give another directory: --directory DIR")
    write(target, texts(values.name, _site(values.site, values.scheduler)))
    write_out(
        f"{target}: package {values.name}\n\n"
        f"install: cd {shlex.quote(str(target))} && pip install -e '.[test]'\n"
        f"run:     mpiapps run {values.name} -n 2\n"
        "test:    mpiapps run tests/on_ranks.py -n 2\n"
    )
    return 0


def check_name(name: str) -> None:
    """Raise `UsageError` if a package and a program cannot have this name."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name of a package; start with a letter, then letters,"
            " digits and _ (ASCII, no _ at the end), such as wave_2d"
        )
    if keyword.iskeyword(name):
        raise UsageError(f"{name!r} is a keyword of Python; choose another name")
    if name in programs():
        raise UsageError(
            f"{name!r} is a program of `mpiapps list`; choose another name"
        )
    if name in OWN_DIRECTORIES:
        raise UsageError(
            f"{name!r} is a directory of the package's own; choose another name"
        )
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.origin is not None:
        raise UsageError(
            f"{name!r} is a module of this Python ({spec.origin}), which the package"
            " would hide; choose another name"
        )


def _site(name: str, scheduler: str) -> Site:
    """Return the site of the job script; Slurm if this host has no scheduler."""
    try:
        return find_site(name, scheduler)
    except UsageError:
        if name or scheduler:
            raise
        return find_site("", "slurm")


def texts(name: str, site: Site) -> dict[str, str]:
    """Return the content of each file of the package `name`, by its path in it.

    Raises
    ------
    UsageError
        If the job script cannot be rendered for `site`.
    """
    content = {
        file.replace(PLACEHOLDER, name): (START / file)
        .read_text(encoding="utf-8")
        .replace(PLACEHOLDER, name)
        for file in FILES
    }
    return content | job_texts(name, site)


def job_texts(name: str, site: Site) -> dict[str, str]:
    """Return the job script, and the parts of the job library that it reads."""
    request = Request(nodes=1, ranks_per_node=2, mpi=site.mpi or only_mpi())
    job = Job(resolve(request, site, name), site, ("-m", f"{name}.program"))
    libraries = LIBRARY, load_scheduler(site.scheduler).library
    return {
        f"jobs/{name}.sh": render(job, library=f"jobs/lib/{LIBRARY.name}"),
        **{f"jobs/lib/{p.name}": p.read_text(encoding="utf-8") for p in libraries},
    }


def write(target: Path, content: dict[str, str]) -> None:
    """Write the files of a new directory; it has its name when it is complete.

    Raises
    ------
    FileAccessError
        If a file cannot be written; nothing is left.
    """
    with (
        os_errors(target, "make"),
        TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as directory,
    ):
        package = Path(directory) / "package"  # has the permissions of the umask
        for file, text in content.items():
            path = package / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if path.suffix == ".sh" and path.parent.name == "jobs":
                path.chmod(path.stat().st_mode | 0o111)
        package.rename(target)
