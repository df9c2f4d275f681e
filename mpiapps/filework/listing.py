"""Which files there are: names on the root, sizes by all ranks."""

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
from mpiapps.comm.mpi import MPI
from mpiapps.comm.partition import blocks

MISSING = -1  # size of a file that cannot be read
# How names begin that are beside tables and not of them: `_SUCCESS`, `.part-0.crc`.
MARKS = ("_", ".")
STARS = re.compile(r"(?<![^/])\*\*(?:/+|$)")  # folders to any depth, in a pattern

# Names are texts here, asked about by `os`, for each of maybe a million files: a Path
# made of the name takes 2.4 times as long as the question does (4.2 against 1.8 us).


@dataclass(frozen=True)
class Listing:
    """The files of a run, the same on all ranks.

    Attributes
    ----------
    names : list of str
        In the order given, those of a folder sorted; bytes that are not UTF-8 as Python
        has them in names (``surrogateescape``).
    sizes, times : ndarray of int64
        Bytes, or `MISSING`; time of the last change, ns.
    wrong : dict of int to str
        Why a file cannot be read, by its place in `names`.
    """

    names: list[str]
    sizes: np.ndarray
    times: np.ndarray
    wrong: dict[int, str]


def gather_listing(comm: MPI.Intracomm, names: Sequence[str] | None) -> Listing:
    """Return the files with their sizes. Collective; `names` on the root.

    Cost: a broadcast of the names, a gather of 16 bytes for each file to all ranks.
    Each rank asks the file system about its share of them.
    """
    joined = b"\0".join(map(os.fsencode, names)) if names else b""
    joined, count = comm.bcast((joined, len(names or ())))
    known = list(map(os.fsdecode, joined.split(b"\0"))) if count else []
    parts = blocks(count, comm.size)
    mine = parts[comm.rank]
    own = np.empty((len(mine), 2), np.int64)
    wrong = {}
    for place, n in enumerate(mine):
        own[place], reason = _asked(known[n])
        if reason:
            wrong[n] = reason
    every = np.empty((count, 2), np.int64)
    lengths = [2 * len(part) for part in parts]
    comm.Allgatherv(own, [every, lengths])
    all_wrong = {k: v for each in comm.allgather(wrong) for k, v in each.items()}
    sizes, times = np.ascontiguousarray(every.T)
    return Listing(known, sizes, times, all_wrong)


def _asked(name: str) -> tuple[tuple[int, int], str]:
    try:
        found = os.stat(name)  # noqa: PTH116 - of a million: 2 s, by Paths 7 s
    except OSError as error:
        return (MISSING, 0), error.strerror or str(error)
    if not stat.S_ISREG(found.st_mode):
        folder = stat.S_ISDIR(found.st_mode)
        reason = "a folder that cannot be read" if folder else "not a regular file"
        return (MISSING, 0), reason
    return (found.st_size, found.st_mtime_ns), ""


def expand(
    paths: Sequence[str], listed: Sequence[str] = (), *, tables: bool = False
) -> list[str]:
    """Return the files that paths and lists name. Root only.

    Parameters
    ----------
    paths : sequence of str
        Files, folders (all files in them and below, sorted), or patterns with ``*``,
        ``?``, ``[`` and ``**``.
    listed : sequence of str
        Files and folders, never patterns: what `read_list` returns.
    tables : bool
        Skip files and folders in folders if their names begin with one of `MARKS`.

    Raises
    ------
    InputError
        If a pattern fits nothing. A path that is not there is kept: it is one bad file.
    """
    marks = MARKS if tables else ()
    return [file for path in paths for file in _expanded(path, marks)] + [
        file for path in listed for file in _below(path, marks)
    ]


def _expanded(path: str, marks: tuple[str, ...]) -> Iterable[str]:
    if not glob.has_magic(path) or os.path.lexists(path):
        return _below(path, marks)
    found = sorted(set(_matching(path)))
    if not found:
        raise InputError(f"{path!r} fits no file")
    # A pattern may fit a folder and what is below it: each file once.
    return dict.fromkeys(f for each in found for f in _below(each, marks))


def _below(path: str, marks: tuple[str, ...]) -> Iterable[str]:
    if os.path.isdir(path):  # noqa: PTH112 - a list has a million: 2 s, by Paths 7 s
        return _walk(path, marks)
    return (path,)


def _walk(folder: str, marks: tuple[str, ...]) -> Iterator[str]:
    """Yield the files of a folder; links to folders are not followed."""
    left = [folder]
    while left:
        files, folders = [], []
        try:
            with os.scandir(here := left.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith(marks):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif not _leads_to_folder(entry):
                        files.append(entry.path)
        except OSError:
            files, folders = [here], []  # one bad file
        yield from sorted(files)
        left += sorted(folders, reverse=True)


def _matching(pattern: str, root: str = "") -> Iterator[str]:
    """Yield what a pattern fits. The ``**`` of `glob` ends at a depth of 1,000."""
    if not (stars := STARS.search(pattern)):
        found = glob.iglob(  # noqa: PTH207 - Path.glob takes no absolute pattern
            pattern, root_dir=root or None, include_hidden=True
        )
        yield from (_joined(root, name) for name in found)
        return
    top, rest = pattern[: stars.start()], pattern[stars.end() :]
    starts = _matching(top, root) if glob.has_magic(top) else (_joined(root, top),)
    for folder in itertools.chain.from_iterable(map(_folders, starts)):
        found = _matching(rest or "*", folder)
        yield from found if rest else itertools.filterfalse(os.path.isdir, found)


def _joined(folder: str, name: str) -> str:
    return os.path.join(folder, name)  # noqa: PTH118 - a Path drops "./" and "//"


def _folders(top: str) -> Iterator[str]:
    """Yield a folder and all below it; a link to one that it lies in is not entered."""
    left = [top]
    while left:
        yield (folder := left.pop())
        with suppress(OSError), os.scandir(folder or ".") as entries:
            left += [
                _joined(folder, entry.name)
                for entry in entries
                if _leads_to_folder(entry) and not _is_loop(entry)
            ]


def _is_loop(entry: os.DirEntry[str]) -> bool:
    path = Path(entry.path)
    return entry.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())


def _leads_to_folder(link: os.DirEntry[str]) -> bool:
    try:
        return link.is_dir()
    except OSError:  # a loop, or no permission: one bad file
        return False


def folder_of(path: str) -> str:
    """Return a folder that all files of a path or a pattern lie in. Local."""
    if glob.has_magic(path) and not os.path.lexists(path):
        path = re.split(r"[*?[]", path)[0] + "_"
    place = Path(path)
    return path if place.is_dir() else str(place.parent)


def read_list(name: str) -> list[str]:
    """Return the names in a list: a line each, or each ended by a zero byte. Local.

    Parameters
    ----------
    name : str
        A file; ``-``: standard input.

    Raises
    ------
    InputError
        If it cannot be read.
    LaunchError
        If it is standard input, and the launcher passes no end of it.
    """
    try:
        if name == "-":
            with standard_input() as stream:
                data = stream.read()
        else:
            data = Path(name).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the list {name}: {error.strerror}") from error
    mark = b"\0" if b"\0" in data else b"\n"
    return [os.fsdecode(each) for each in data.split(mark) if each]
