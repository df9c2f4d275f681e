"""Data files among the arguments, without the metadata files of other programs."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path

from mpiapps.base.errors import InputError

HIDDEN_PREFIXES = ("_", ".")  # of files that are not data: _SUCCESS, .part.crc


def data_files(
    paths: Sequence[str], expand: Callable[[Sequence[str]], list[str]]
) -> list[str]:
    """Return the data files of paths, directories and patterns. Root only.

    Matches in directories and of patterns are skipped if their name, or that of a
    directory below the argument, begins with ``_`` or ``.``, as in Spark and Dask.

    Parameters
    ----------
    paths : sequence of str
    expand : callable
        Returns all files of a path; see `mpiapps.fileops.listing.expand`.

    Raises
    ------
    InputError
        If there are no data files.
    """
    files = [name for path in paths for name in expand([path]) if _is_data(name, path)]
    if not files:
        raise InputError(
            f"no data files in {', '.join(paths)}; files whose names begin with _ or ."
            " are skipped, unless they are arguments themselves"
        )
    return files


def _is_data(name: str, path: str) -> bool:
    """Return whether `name`, a match of `path`, is a data file."""
    literal = 0  # leading parts of the path that are not patterns
    for part in Path(path).parts:
        if glob.has_magic(part) and not Path(path).exists():
            break
        literal += 1
    return not any(
        part.startswith(HIDDEN_PREFIXES) for part in Path(name).parts[literal:]
    )
