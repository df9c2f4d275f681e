"""Files that a run writes, which must differ from each other and from its inputs."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mpiapps.app.record import RECORD_VARIABLE
from mpiapps.base.errors import MpiAppsError
from mpiapps.storage.atomic_file import AtomicFile
from mpiapps.storage.replace_file import real_path

STDOUT = "-"


def written_files(*groups: Any) -> dict[str, str]:
    """Return the files that a run with these options writes, by option.

    Parameters
    ----------
    *groups : dataclass
        Options of the program, and those of all programs. Fields with ``file`` of
        `mpiapps.app.option` are files. The record for the job script is added.
    """
    record = {RECORD_VARIABLE: job_record()} if job_record() else {}
    return dict(_files(groups, "written")) | record


def check_files(*groups: Any) -> None:
    """Raise `ValueError` if options would replace a file of another option.

    Links and other spellings of a path are resolved. Local; reads no file.
    """
    writers: dict[str, tuple[str, str]] = {}
    for option, path in _files(groups, "written"):
        if (key := replaced_path(path)) in writers:
            other, _ = writers[key]
            raise ValueError(
                f"{other} and {option} both name {path}; choose different files"
            )
        if key:
            writers[key] = option, path
    for option, path in _files(groups, "read") if writers else ():
        # What does not exist may be the name of a data set.
        if path == STDOUT or not os.path.lexists(path):
            continue
        if writer := writers.get(str(real_path(Path(path)))):
            named = f"{option} {path}".lstrip()
            raise ValueError(replaces_message(" ".join(writer), named))


def replaces_message(result: str, path: str) -> str:
    """Return the error message for a result that would replace an input."""
    return f"{result}: it would replace {path}, which this run reads; name another file"


def replaced_path(path: str) -> str:
    """Return the path that a result replaces: ``-`` for standard output.

    Empty for a device or a pipe, which several results may be written to.
    """
    if path == STDOUT:
        return path
    try:
        is_file = stat.S_ISREG(Path(path).stat().st_mode)
    except OSError:  # it does not exist, or opening it will state why it is not seen
        is_file = True
    return str(real_path(Path(path))) if is_file else ""


def _files(groups: tuple[Any, ...], use: str) -> Iterator[tuple[str, str]]:
    """Yield option and path of each file that options read, or write."""
    for group in groups:
        for field in dataclasses.fields(group):
            if field.metadata.get("file") != use:
                continue
            value = getattr(group, field.name)
            name = "" if field.metadata["positional"] else f"--{field.name}"
            for path in value if isinstance(value, tuple) else (value,):
                if path:
                    yield name.replace("_", "-"), path


def open_targets(json: str, csv: str) -> dict[str, AtomicFile]:
    """Return the output files of all programs; raise if one is not writable.

    By the names ``json``, ``csv`` and ``record``, that of the job script.
    """
    targets: dict[str, AtomicFile] = {}
    try:
        for name, path in {"json": json, "csv": csv, "record": job_record()}.items():
            if path not in ("", STDOUT):
                targets[name] = AtomicFile(Path(path))
    except MpiAppsError:
        for target in targets.values():
            target.discard()
        raise
    return targets


def job_record() -> str:
    """Return the path of the record for the job script, or an empty string."""
    return os.environ.get(RECORD_VARIABLE, "")
