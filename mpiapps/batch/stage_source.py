"""What a job imports: the environment of its Python, and modules beside it."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from mpiapps.base.errors import UsageError
from mpiapps.batch.environment import conda_program
from mpiapps.batch.request import Job, Request
from mpiapps.batch.stage_items import (
    PLACEHOLDER,
    Item,
    environment_items,
    module_items,
    package_items,
)

# One line, as `conda run` passes it on.
QUERY = (
    "import json, site, sys; print(json.dumps({'version': sys.version_info[:2],"
    " 'prefix': sys.prefix, 'base': sys.base_prefix, 'path': sys.path[1:],"
    " 'user_site': site.ENABLE_USER_SITE and site.getusersitepackages()}))"
)
LOCAL_PREFIXES = ("/usr", "/usr/local")  # each host has its own
# Parts of a standard library that ranks do not import.
LIBRARY = re.compile(r"lib/python[\d.]+\b")
UNUSED = re.compile(r"lib/python[\d.]+/(test|idlelib|turtledemo|ensurepip|config-.*)")
FINDER = re.compile(r"__editable___.*_finder\.py")
REWRITTEN = re.compile(
    r"^pyvenv\.cfg$|^bin/[^/]+$|/site-packages/([^/]+\.pth|__editable___.*_finder\.py)$"
)
HOOK = re.compile(r"^import .*(editable|_finder|redirect)", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """The interpreter of a job, and the directory of its script or submission.

    Attributes
    ----------
    prefix, base : Path
        Of the environment, and of the Python that it was made from.
    path : tuple of str
        ``sys.path`` without the directory of the script.
    first : Path
        Directory of the script, or of the submission: the first of ``sys.path``.
    """

    prefix: Path
    base: Path
    path: tuple[str, ...]
    first: Path

    @property
    def packs_base(self) -> bool:
        """Whether the base Python is packed: neither the prefix nor the host's own."""
        return self.base != self.prefix and str(self.base) not in LOCAL_PREFIXES

    @cached_property
    def packages(self) -> dict[str, str]:
        """Names in the archive of packages that editable installs map to, by path."""
        paths = chain.from_iterable(map(_mapped_paths, self._site_files(FINDER)))
        return {path: f"{_directory(path)}/{Path(path).name}" for path in paths}

    @cached_property
    def directories(self) -> dict[str, str]:
        """Names in the archive of directories with modules, by path; `first` first."""
        inside = (self.prefix, self.prefix.resolve(), self.base, self.base.resolve())
        paths = [str(self.first)]
        for text in self.path:
            outside = not any(Path(text).is_relative_to(root) for root in inside)
            if outside and Path(text).is_dir():
                paths.append(os.path.normpath(text))
        return {path: _directory(path) for path in paths}

    def environment(self) -> Iterator[Item]:
        """Yield the files of the environment, and of its base Python if packed."""
        others = {}
        if self.packs_base:
            others = {self.base: "base", self.base.resolve(): "base"}
        yield from environment_items(self.prefix, "env", others, self._rewritten)
        if self.packs_base:
            yield from environment_items(
                self.base, "base", {}, lambda _name, _path: None, self._has_needed
            )

    def modules(self) -> Iterator[Item]:
        """Yield the modules of the directories outside of the environment."""
        for path, name in self.directories.items():
            yield from module_items(Path(path), name)
        for path, name in self.packages.items():
            if Path(path).is_dir():
                yield from package_items(Path(path), name)
            for file in sorted(Path(path).parent.glob(f"{Path(path).name}.*")):
                item_name = f"{Path(name).parent}/{file.name}"
                yield Item(item_name, str(file), file.stat())

    def check(self) -> None:
        """Raise `UsageError` for an editable install whose directory is not known."""
        for file in self._site_files(re.compile(r".*\.pth")):
            text = file.read_text(errors="replace")
            known = re.search(r"__editable___\w+_finder", text)
            if HOOK.search(text) and not known:
                raise UsageError(
                    f"--stage: {file.name} loads an editable install by a hook of its"
                    " own, which would import from the original directory; install"
                    " that package without -e"
                )

    def _has_needed(self, entry: os.DirEntry[str], relative: str) -> bool:
        """Return whether ranks need files in a directory of the base Python."""
        if entry.name == "site-packages":
            return entry.path in self.path
        unused = UNUSED.fullmatch(relative)
        return relative in ("bin", "lib") or bool(
            LIBRARY.match(relative) and not unused
        )

    def _site_files(self, pattern: re.Pattern[str]) -> list[Path]:
        directories = [Path(text) for text in self.path if text.endswith("-packages")]
        return [
            file
            for directory in directories
            if directory.is_relative_to(self.prefix) and directory.is_dir()
            for file in sorted(directory.iterdir())
            if pattern.fullmatch(file.name)
        ]

    def _rewritten(self, name: str, file: str) -> bytes | None:
        """Return the content of a file with paths of its environment, or `None`."""
        path = Path(file) if REWRITTEN.search(name) else None
        if path is None:
            return None
        if name == "pyvenv.cfg" and self.packs_base:
            home = f"home = {PLACEHOLDER}/base/bin"
            text = re.sub(r"(?m)^home *=.*$", home, path.read_text())
        elif name.startswith("bin/"):
            return self._script(path)
        elif name.endswith(".pth"):
            lines = path.read_text(errors="surrogateescape").splitlines()
            text = "".join(f"{self._moved_line(line)}\n" for line in lines)
        elif FINDER.fullmatch(path.name):
            text = path.read_text(errors="surrogateescape")
            for old, new in self.packages.items():
                text = text.replace(repr(old), repr(f"{PLACEHOLDER}/{new}"))
        else:
            return None
        return text.encode(errors="surrogateescape")

    def _moved_line(self, line: str) -> str:
        """Return a line of a .pth file: code, or a directory."""
        if line.startswith(("import ", "import\t", "#")):
            return line
        moved = self.directories.get(os.path.normpath(line.rstrip()))
        return f"{PLACEHOLDER}/{moved}" if moved else line

    def _script(self, path: Path) -> bytes | None:
        """Return a script whose interpreter is the moved one; `None`: another file."""
        with path.open("rb") as stream:
            if stream.read(2) != b"#!":
                return None
        first, line_end, rest = path.read_bytes().partition(b"\n")
        for prefix in dict.fromkeys((self.prefix, self.prefix.resolve())):
            old = os.fsencode(prefix / "bin" / "python")
            new = f"{PLACEHOLDER}/env/bin/python".encode()
            first = first.replace(b"#!" + old, b"#!" + new)
            if first == b"#!/bin/sh":  # a long path is in the second line
                rest = rest.replace(b"'''exec' " + old, b"'''exec' " + new, 1)
        return first + line_end + rest


def source_of(job: Job) -> Source:
    """Return what a job imports, from its interpreter on this host.

    Raises
    ------
    UsageError
        If the environment cannot be packed; the message has the reason.
    """
    request = job.request
    _refuse(job)
    facts = _query(request)
    prefix, base = Path(facts["prefix"]), Path(facts["base"])
    if tuple(facts["version"]) < (3, 11):
        raise UsageError(
            f"--stage needs Python 3.11, for its option -P, and {prefix} has"
            f" {'.'.join(map(str, facts['version']))}"
        )
    if not any((prefix / mark).exists() for mark in ("pyvenv.cfg", "conda-meta")):
        raise UsageError(
            f"--stage: {prefix} is neither a virtual nor a conda environment; create"
            " one with the packages of the program, by python3 -m venv DIRECTORY"
        )
    if facts["user_site"] and facts["user_site"] in facts["path"]:
        raise UsageError(
            f"--stage: Python also imports from {facts['user_site']}, which is not"
            " packed; add --env PYTHONNOUSERSITE=1, or install these packages into the"
            " environment"
        )
    script = job.argv[0]
    first = Path.cwd() if script.startswith("-") else Path(script).resolve().parent
    source = Source(prefix, base, tuple(facts["path"]), first)
    source.check()
    return source


def _refuse(job: Job) -> None:
    request = job.request
    if request.container:
        raise UsageError(
            "--stage and --container: an image is one file, which each host opens once"
            " anyway; leave out --stage"
        )
    in_job = job.modules or request.setup or job.site.setup
    if in_job and "/" not in request.python and not request.conda:
        raise UsageError(
            f"--stage packs at submission, and {request.python} is searched for in the"
            " job, after modules and setup; give its path by --venv or --python"
        )


def _query(request: Request) -> dict[str, Any]:
    """Return what the interpreter of a job reports."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment |= dict(text.split("=", 1) for text in request.env)
    command = [request.python]
    if request.conda:
        which = "-p" if "/" in request.conda else "-n"
        command = [conda_program(), "run", which, request.conda, "python"]
    try:
        ended = subprocess.run(
            [*command, "-c", QUERY],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        facts: dict[str, Any] = json.loads(ended.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        printed = getattr(error, "stderr", "") or str(error)
        raise UsageError(
            f"--stage: cannot run {' '.join(command)} on this host, to find what it"
            f" imports: {printed.strip().splitlines()[-1]}"
        ) from error
    return facts


def _mapped_paths(finder: Path) -> list[str]:
    """Return the paths of packages in the finder of setuptools' editable installs."""
    paths: list[str] = []
    for node in ast.parse(finder.read_text()).body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id in ("MAPPING", "NAMESPACES"):
            assert isinstance(node, ast.AnnAssign)
            mapping = ast.literal_eval(node.value) if node.value else {}
            for value in mapping.values():
                paths += [value] if isinstance(value, str) else value
    return paths


def _directory(path: str) -> str:
    """Return the name of a directory in the archive: that of its path only."""
    return f"src/{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"
