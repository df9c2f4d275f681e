"""Which files there are: names on the root, sizes by all ranks."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.comm.mpi import MPI
from mpiapps.comm.partition import blocks

MISSING = -1  # size of a file that cannot be read

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


def expand(paths: Sequence[str], lists: Sequence[str] = ()) -> list[str]:
    """Return the files that paths and lists name. Root only.

    Parameters
    ----------
    paths : sequence of str
        Files, folders (all files in them and below, sorted), or patterns with ``*``,
        ``?``, ``[`` and ``**``.
    lists : sequence of str
        Files with a path a line, or separated by zero bytes; ``-``: standard input.

    Raises
    ------
    InputError
        If a pattern fits nothing or a list cannot be read. A path that is not there is
        kept: it is one bad file.
    """
    return [file for path in paths for file in _expanded(path)] + [
        file for each in lists for path in _listed(each) for file in _expanded(path)
    ]


def _expanded(path: str) -> Iterable[str]:
    if os.path.isdir(path):  # noqa: PTH112 - a list has a million: 2 s, by Paths 7 s
        return _walk(path)
    if glob.has_magic(path) and not os.path.lexists(path):
        # A Path takes no absolute pattern, and its ** enters no linked folders.
        every = glob.iglob(path, recursive=True, include_hidden=True)  # noqa: PTH207
        found = sorted(every)
        if not found:
            raise InputError(f"{path!r} fits no file")
        # ``**`` fits a folder and what is below it: each file once.
        return dict.fromkeys(f for each in found for f in _expanded(each))
    return (path,)


def _walk(folder: str) -> Iterator[str]:
    """Yield the files of a folder; links to folders are not followed."""
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not _leads_to_folder(entry):
                    files.append(entry.path)
    except OSError:
        yield folder  # one bad file
        return
    yield from sorted(files)
    for each in sorted(folders):
        yield from _walk(each)


def _leads_to_folder(link: os.DirEntry[str]) -> bool:
    try:
        return link.is_dir()
    except OSError:  # a loop, or no permission: one bad file
        return False


def _listed(name: str) -> list[str]:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the list {name}: {error.strerror}") from error
    mark = b"\0" if b"\0" in data else b"\n"
    return [os.fsdecode(each) for each in data.split(mark) if each]
