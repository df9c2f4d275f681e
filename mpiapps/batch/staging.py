"""``--stage``: the environment of a job in archives that its hosts unpack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mpiapps.base.errors import UsageError, os_errors
from mpiapps.base.streams import write_err
from mpiapps.base.units import format_size
from mpiapps.batch.job_parts import Stage
from mpiapps.batch.request import Job
from mpiapps.batch.scheduler import LIBRARY
from mpiapps.batch.stage_archive import (
    fingerprint,
    suffix,
    unpacked_size,
    write_archive,
)
from mpiapps.batch.stage_items import Item
from mpiapps.batch.stage_source import Source, source_of

STAGE_LIBRARY = LIBRARY.with_name("job_stage.sh")
CACHE = "environments"  # in the directory of the runs
MAX_MODULES = 512 * 1024**2  # bytes of modules outside of the environment
MAX_FILES = 20_000
MIB = 1024**2


def staged(job: Job, *, pack: bool = True) -> Job:
    """Return a job that runs from archives, if its request has ``--stage``.

    Parameters
    ----------
    job : Job
    pack : bool
        Whether to write the archives that do not exist.

    Raises
    ------
    UsageError
        If its environment cannot be packed.
    FileAccessError
        If a file cannot be read, or an archive cannot be written.
    """
    if not job.request.stage:
        return job
    source = source_of(job)
    cache = Path(job.request.logs) / CACHE
    with os_errors(source.prefix, "read"):
        environment, modules = list(source.environment()), list(source.modules())
    _check_size(source, modules)
    mapping = _mapping(source)
    archives = {"env": (environment, ""), "src": (modules, mapping)}
    paths = {}
    for kind, (items, text) in archives.items():
        name = f"{kind}-{fingerprint(items, text)}{suffix()}"
        paths[kind] = cache / name
        if pack and not paths[kind].exists():
            _pack(paths[kind], kind, items, text)
    size = -(-unpacked_size([*environment, *modules]) // MIB)
    script = "" if job.argv[0].startswith("-") else job.argv[0]
    stage = Stage(str(paths["env"]), str(paths["src"]), size, script)
    return replace(job, stage=stage)


def _pack(path: Path, kind: str, items: Sequence[Item], text: str) -> None:
    if kind == "env":
        size = format_size(sum(item.size for item in items))
        write_err(f"mpiapps: packing {len(items)} files, {size}, into {path}\n")
    with os_errors(path.parent, "make"):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_archive(path, kind, items, text)


def _mapping(source: Source) -> str:
    """Return a line with the original and the name in the archive per directory."""
    pairs = {**source.directories, str(source.prefix): "env"}
    text = "".join(f"{path}\t{name}\n" for path, name in pairs.items())
    if len(text.splitlines()) != len(pairs):
        raise UsageError("--stage: a directory of Python's path has a newline")
    return text


def _check_size(source: Source, modules: Sequence[Item]) -> None:
    size = sum(item.size for item in modules)
    if size > MAX_MODULES or len(modules) > MAX_FILES:
        where = ", ".join(source.directories)
        raise UsageError(
            f"--stage: the modules and packages in {where} are {len(modules)} files of"
            f" {format_size(size)}, and at most {MAX_FILES} of"
            f" {format_size(MAX_MODULES)} are packed; submit from a directory"
            " with the program alone, or move its data elsewhere"
        )
    for path in (*source.directories, str(source.prefix)):
        if not Path(path).is_absolute():
            raise UsageError(f"--stage: {path} of Python's path is not absolute")
