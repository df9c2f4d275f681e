"""The files that a run writes itself, which are not among its inputs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from mpiapps.app.result_files import STDOUT, replaced_path
from mpiapps.base.errors import InputError
from mpiapps.base.file_names import directory_of
from mpiapps.storage.replace_file import PART_SUFFIX, temporary_pattern

FAILED = "failed.txt"  # in the run directory: the list of the files that failed
# Journals and locks in the run directory, and in those of passes in it.
JOURNALS = re.compile(
    r"(?:(?:quotes|extent|summary|groups|(?:bits|counts|files)-[^/]+)/)?"
    r"(?:journal\.\d+\.[0-9a-f]+|owner(?:\.\d+|\..+\.part)?)"
)


class OwnFiles:
    """The results of a run, their temporary files, and its run directory.

    They are recognised by their paths, with all links resolved. Local, on any rank.

    Parameters
    ----------
    results : mapping of str to str
        Option -> path of a file.
    directory : str
        The run directory; other files in it may be inputs.
    output_dirs : iterable of str
        Directories in which all files are results.
    """

    def __init__(
        self,
        results: Mapping[str, str],
        directory: str = "",
        output_dirs: Iterable[str] = (),
    ) -> None:
        self._real = cache(os.path.realpath)  # of directories, which many files share
        self._labels = dict[str, str]()
        self._inodes = set[int]()
        self._temporaries = dict[str, list[re.Pattern[str]]]()
        for option, name in results.items():
            self._add(name, f"{option} {name}")
        self._directory = ("", "")
        if _is_directory(directory):
            label = f"--directory {directory}"
            self._add(str(Path(directory, FAILED)), label)
            self._directory = _with_slash(self._real(directory)), label
        self._output_dirs = {
            _with_slash(self._real(top)): f"--output-dir {top}"
            for top in output_dirs
            if _is_directory(top)
        }

    def _add(self, name: str, label: str) -> None:
        path = replaced_path(name)
        if path in ("", STDOUT):
            return
        self._labels[path] = label
        parent, base = os.path.split(path)
        self._temporaries.setdefault(parent, []).append(temporary_pattern(base))
        with suppress(OSError):
            self._inodes.add(Path(path).stat().st_ino)

    def label(self, name: str, status: os.stat_result | None) -> str:
        """Return the option and its value that make a file the run's own, or nothing.

        `status`: of the file that `name` is or points to, if it exists. Links are
        resolved only where the file may be one of the run.
        """
        may_be_own = status is None or status.st_ino in self._inodes
        if may_be_own and (label := self._labels.get(os.path.realpath(name))):
            return label
        if name.endswith(PART_SUFFIX):
            parent, base = os.path.split(name)
            patterns = self._temporaries.get(self._real(parent), ())
            if any(pattern.fullmatch(base) for pattern in patterns):
                return "a temporary file of a result"
        directory, run_directory = self._directory
        if directory or self._output_dirs:
            parent, base = os.path.split(name)
            path = _with_slash(self._real(parent)) + base
            for top, output_dir in self._output_dirs.items():
                if path.startswith(top):
                    return output_dir
            below = path.removeprefix(directory)
            if len(below) < len(path) and JOURNALS.fullmatch(below):
                return run_directory
        return ""


def check_output_dir(arguments: Sequence[str], output_dir: str) -> None:
    """Raise `InputError` if an argument lies in the directory of the results.

    Parameters
    ----------
    arguments : sequence of str
        Paths, patterns and names from lists.
    output_dir : str
    """
    top, real = _with_slash(os.path.realpath(output_dir)), cache(os.path.realpath)
    for path in arguments:
        if _with_slash(real(directory_of(path))).startswith(top):
            raise InputError(
                f"{path} lies in the directory of the results, --output-dir"
                f" {output_dir}; name a directory without originals"
            )


def _is_directory(path: str) -> bool:
    """Return whether a path is that of a directory which this rank sees."""
    try:
        return path != "" and Path(path).is_dir()
    except OSError:
        return False


def _with_slash(directory: str) -> str:
    return directory if directory.endswith("/") else f"{directory}/"
