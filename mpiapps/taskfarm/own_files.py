"""The files that a farm reads or writes itself, which nothing else may replace."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from mpiapps.storage.replace_file import real_path
from mpiapps.taskfarm.farm_journal import OWN_FILES

OwnFile = Callable[[str], str]


def own_file_of(
    directory: Path, lists: Iterable[Path], job_log: Path | None
) -> OwnFile:
    """Return the function that returns which file of the farm a path is, or "".

    Parameters
    ----------
    directory : Path
        The run directory.
    lists : iterable of Path
        The list of tasks, or of values.
    job_log : Path or None

    Notes
    -----
    The function takes a path whose symbolic links are resolved.
    """
    names = {str(real_path(path)): "a list that the farm reads" for path in lists}
    if job_log is not None:
        names[str(real_path(job_log))] = "the job log"
    prefix, own = f"{real_path(directory)}/", re.compile(OWN_FILES)

    def own_file(path: str) -> str:
        if path in names:
            return names[path]
        if path.startswith(prefix) and own.fullmatch(path.removeprefix(prefix)):
            return f"{path.removeprefix(prefix)}, a file of the farm"
        return ""

    return own_file
