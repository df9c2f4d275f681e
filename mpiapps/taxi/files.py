"""Which files are meant: what data programs write beside their data is none of it."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path

from mpiapps.base.errors import InputError

HIDDEN = ("_", ".")  # how names of files begin that are no data: _SUCCESS, .part.crc


def data_files(
    paths: Sequence[str], expand: Callable[[Sequence[str]], list[str]]
) -> list[str]:
    """Return the files that paths, folders and patterns name. Root only.

    In folders, and by patterns, those whose name or folder begins with ``_`` or ``.``
    are left out, as Spark, Arrow and Dask do; a file that is named by itself counts.

    Parameters
    ----------
    paths : sequence of str
    expand : callable
        Returns all files that a path names, as `mpiapps.filework.listing.expand`.

    Raises
    ------
    InputError
        If there is none.
    """
    found = [name for path in paths for name in expand([path]) if _is_data(name, path)]
    if not found:
        raise InputError(
            f"there are no files in {', '.join(paths)}; those whose names begin with _"
            " or . are left out, unless they are named themselves"
        )
    return found


def _is_data(name: str, path: str) -> bool:
    """Return whether `name`, to which `path` was expanded, is a file of data."""
    given = 0
    for part in Path(path).parts:  # those before the first pattern are the user's own
        if glob.has_magic(part) and not Path(path).exists():
            break
        given += 1
    return not any(part.startswith(HIDDEN) for part in Path(name).parts[given:])
