"""The files that paths, directories, patterns and lists name.

Names are str, used with `os`: with a million files, the construction of a Path takes
2.4 times as long as the stat itself (4.2 against 1.8 us).
"""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from mpiapps.base.errors import FileAccessError, InputError, os_errors
from mpiapps.base.stdin import standard_input

# Prefixes of files that are not data of a table: `_SUCCESS`, `.part-0.crc`.
HIDDEN_PREFIXES = ("_", ".")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # of UTF-8
STARS = re.compile(r"(?<![^/])\*\*(?:/+|$)")  # directories of any depth, in a pattern


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


def data_files(paths: Sequence[str]) -> list[str]:
    """Return the data files of paths, directories and patterns. Root only.

    Matches in directories and of patterns are skipped if their name, or that of a
    directory below the argument, begins with ``_`` or ``.``, as in Spark and Dask.

    Parameters
    ----------
    paths : sequence of str

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


def read_list(name: str) -> list[str]:
    """Return the names in a list, separated by newlines or by zero bytes.

    In lists without zero bytes, returns are part of the line ends if they precede all
    newlines; a byte order mark is skipped unless a file has the name with it.

    The list is read by `read_input`; one that cannot be read is an `InputError`, as
    a pattern without a match.
    """
    try:
        data = read_input(name, "list")
    except FileAccessError as error:
        raise InputError(str(error)) from error
    separator = b"\0" if b"\0" in data else b"\n"
    if separator == b"\n":
        if data.count(b"\r\n") == data.count(b"\n"):
            data = data.replace(b"\r\n", b"\n")
        first = data.partition(b"\n")[0]
        if data.startswith(BYTE_ORDER_MARK) and not os.path.lexists(first):
            data = data.removeprefix(BYTE_ORDER_MARK)
    return [os.fsdecode(part) for part in data.split(separator) if part]


def read_input(name: str, kind: str) -> bytes:
    """Return the content of a file.

    Parameters
    ----------
    name : str
        Its path; ``-``: standard input.
    kind : str
        What it is, for the error message.

    Raises
    ------
    FileAccessError
        If it cannot be read.
    LaunchError
        If it is standard input, and the launcher does not forward its end.
    """
    with os_errors(f"the {kind} {input_name(name)}", "read"):
        if name == "-":
            with standard_input() as stream:
                return stream.read()
        return Path(name).read_bytes()


def input_name(name: str) -> str:
    """Return what messages call the input `name`: ``-`` is standard input."""
    return "standard input" if name == "-" else name
