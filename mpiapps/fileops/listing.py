"""The files of a run: names listed by the root, sizes read by all ranks."""

from __future__ import annotations

import glob
import itertools
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.base.stdin import standard_input
from mpiapps.comm.partition import blocks
from mpiapps.launch.mpi import MPI

MISSING = -1  # size of a file that cannot be read
# Prefixes of files that are not data of a table: `_SUCCESS`, `.part-0.crc`.
HIDDEN_PREFIXES = ("_", ".")
STARS = re.compile(r"(?<![^/])\*\*(?:/+|$)")  # directories of any depth, in a pattern

# Names are str, used with `os`: with a million files, the construction of a Path takes
# 2.4 times as long as the stat itself (4.2 against 1.8 us).


@dataclass(frozen=True)
class Listing:
    """The files of a run, the same on all ranks.

    Attributes
    ----------
    names : list of str
        In the order of the arguments, those of a directory sorted; bytes that are not
        UTF-8 are encoded by ``surrogateescape``.
    sizes, times : ndarray of int64
        Bytes, or `MISSING`; time of the last modification in ns.
    errors : dict of int to str
        Index in `names` -> reason why the file cannot be read.
    """

    names: list[str]
    sizes: np.ndarray
    times: np.ndarray
    errors: dict[int, str]


def gather_listing(comm: MPI.Intracomm, names: Sequence[str] | None) -> Listing:
    """Return the files with their sizes. Collective; `names` on the root.

    Each rank calls stat for its share of the files. Cost: a broadcast of the names, an
    allgather of 16 bytes for each file.
    """
    joined = b"\0".join(map(os.fsencode, names)) if names else b""
    joined, count = comm.bcast((joined, len(names or ())))
    all_names = list(map(os.fsdecode, joined.split(b"\0"))) if count else []
    parts = blocks(count, comm.size)
    block = parts[comm.rank]
    local_rows = np.empty((len(block), 2), np.int64)
    local_errors = {}
    for row, n in enumerate(block):
        local_rows[row], reason = _stat(all_names[n])
        if reason:
            local_errors[n] = reason
    rows = np.empty((count, 2), np.int64)
    lengths = [2 * len(part) for part in parts]
    comm.Allgatherv(local_rows, [rows, lengths])
    errors = {n: e for part in comm.allgather(local_errors) for n, e in part.items()}
    sizes, times = np.ascontiguousarray(rows.T)
    return Listing(all_names, sizes, times, errors)


def _stat(name: str) -> tuple[tuple[int, int], str]:
    """Return size and modification time of a file, and the reason if it is unusable."""
    try:
        status = os.stat(name)  # noqa: PTH116 - for a million files 2 s, by Path 7 s
    except OSError as error:
        return (MISSING, 0), error.strerror or str(error)
    if not stat.S_ISREG(status.st_mode):
        directory = stat.S_ISDIR(status.st_mode)
        reason = (
            "a directory that cannot be read" if directory else "not a regular file"
        )
        return (MISSING, 0), reason
    return (status.st_size, status.st_mtime_ns), ""


def expand(
    paths: Sequence[str], listed: Sequence[str] = (), *, tables: bool = False
) -> list[str]:
    """Return the files that paths and lists name. Root only.

    Parameters
    ----------
    paths : sequence of str
        Files, directories (all files in and below them, sorted), or patterns with
        ``*``, ``?``, ``[`` and ``**``.
    listed : sequence of str
        Files and directories from `read_list`; patterns are not expanded.
    tables : bool
        Whether to skip entries of directories whose names begin with `HIDDEN_PREFIXES`.

    Raises
    ------
    InputError
        If a pattern matches nothing. A missing path is kept, and fails as a file.
    """
    hidden = HIDDEN_PREFIXES if tables else ()
    return [file for path in paths for file in _expand_pattern(path, hidden)] + [
        file for path in listed for file in _expand_directory(path, hidden)
    ]


def _expand_pattern(path: str, hidden: tuple[str, ...]) -> Iterable[str]:
    if not glob.has_magic(path) or os.path.lexists(path):
        return _expand_directory(path, hidden)
    matches = sorted(set(_glob(path)))
    if not matches:
        raise InputError(f"pattern {path!r} matches no file")
    # A pattern may match a directory and entries below it: yield each file once.
    return dict.fromkeys(
        f for match in matches for f in _expand_directory(match, hidden)
    )


def _expand_directory(path: str, hidden: tuple[str, ...]) -> Iterable[str]:
    if os.path.isdir(path):  # noqa: PTH112 - for a million files 2 s, by Path 7 s
        return _walk(path, hidden)
    return (path,)


def _walk(directory: str, hidden: tuple[str, ...]) -> Iterator[str]:
    """Yield the files of a directory; links to directories are not followed."""
    pending = [directory]
    while pending:
        files, directories = [], []
        try:
            with os.scandir(current := pending.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith(hidden):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(entry.path)
                    elif not _points_to_directory(entry):
                        files.append(entry.path)
        except OSError:
            files, directories = [current], []  # fails as a file
        yield from sorted(files)
        pending += sorted(directories, reverse=True)


def _glob(pattern: str, root: str = "") -> Iterator[str]:
    """Yield the matches of a pattern; ``**`` of `glob` fails at a depth of 1,000."""
    if not (stars := STARS.search(pattern)):
        matches = glob.iglob(  # noqa: PTH207 - Path.glob takes no absolute pattern
            pattern, root_dir=root or None, include_hidden=True
        )
        yield from (_join(root, name) for name in matches)
        return
    top, rest = pattern[: stars.start()], pattern[stars.end() :]
    starts = _glob(top, root) if glob.has_magic(top) else (_join(root, top),)
    for directory in itertools.chain.from_iterable(map(_directories, starts)):
        matches = _glob(rest or "*", directory)
        yield from matches if rest else itertools.filterfalse(os.path.isdir, matches)


def _join(directory: str, name: str) -> str:
    return os.path.join(directory, name)  # noqa: PTH118 - a Path drops "./" and "//"


def _directories(top: str) -> Iterator[str]:
    """Yield a directory and all below it; links to a parent are not followed."""
    pending = [top]
    while pending:
        yield (directory := pending.pop())
        with suppress(OSError), os.scandir(directory or ".") as entries:
            pending += [
                _join(directory, entry.name)
                for entry in entries
                if _points_to_directory(entry) and not _is_loop(entry)
            ]


def _is_loop(entry: os.DirEntry[str]) -> bool:
    path = Path(entry.path)
    return entry.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())


def _points_to_directory(link: os.DirEntry[str]) -> bool:
    try:
        return link.is_dir()
    except OSError:  # a loop, or no permission: fails as a file
        return False


def directory_of(path: str) -> str:
    """Return a directory that contains all files of a path or a pattern."""
    if glob.has_magic(path) and not os.path.lexists(path):
        path = re.split(r"[*?[]", path)[0] + "_"
    return path if Path(path).is_dir() else str(Path(path).parent)


def read_list(name: str) -> list[str]:
    """Return the names in a list, separated by newlines or by zero bytes.

    Parameters
    ----------
    name : str
        Path of the list; ``-``: standard input.

    Raises
    ------
    InputError
        If it cannot be read.
    LaunchError
        If it is standard input, and the launcher does not forward its end.
    """
    try:
        if name == "-":
            with standard_input() as stream:
                data = stream.read()
        else:
            data = Path(name).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the list {name}: {error.strerror}") from error
    separator = b"\0" if b"\0" in data else b"\n"
    return [os.fsdecode(part) for part in data.split(separator) if part]
