"""Files of an archive that a job unpacks: what a tree has, and where it was."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import all_suffixes
from pathlib import Path

PLACEHOLDER = "@MPIAPPS_STAGE@"  # in contents: the directory of the unpacked archives
CACHE = "__pycache__"
LARGE = 16 * 1024**2  # bytes of a data file beside modules that is linked, not packed
MODULES = tuple(all_suffixes())
ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")
# Directory entry, and its path below the root -> whether the directory is walked.
Descends = Callable[[os.DirEntry[str], str], bool]
Rewrite = Callable[[str, str], bytes | None]  # name in the tree, file -> content


@dataclass(frozen=True)
class Item:
    """A file or a symbolic link of an archive.

    Attributes
    ----------
    name : str
        Path in the archive.
    path : str
        The file.
    status : os.stat_result
    link : str
        Target, of a symbolic link.
    content : bytes or None
        In place of that of the file.
    """

    name: str
    path: str
    status: os.stat_result
    link: str = ""
    content: bytes | None = None

    @property
    def size(self) -> int:
        """Size of the content, bytes."""
        if self.link:
            return 0
        return self.status.st_size if self.content is None else len(self.content)


def environment_items(
    root: Path,
    name: str,
    others: Mapping[Path, str],
    rewrite: Rewrite,
    descends: Descends = lambda _entry, relative: relative not in ("pkgs", "envs"),
) -> Iterator[Item]:
    """Yield the files of an environment, in order of their names.

    Parameters
    ----------
    root : Path
    name : str
        Name of `root` in the archive.
    others : mapping of Path to str
        Further directories and their names in archives: links to them stay inside.
    rewrite : callable
    descends : callable
        Default: not into the packages and environments that conda has in its base.
    """
    inside = {root: name, root.resolve(): name} | dict(others)
    for relative, entry in _walk(str(root), "", descends):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            link = _moved_link(Path(entry.path), f"{name}/{relative}", inside)
            yield Item(f"{name}/{relative}", entry.path, status, link)
        elif stat.S_ISREG(status.st_mode):
            content = rewrite(relative, entry.path)
            yield Item(f"{name}/{relative}", entry.path, status, content=content)


def module_items(root: Path, name: str) -> Iterator[Item]:
    """Yield the modules and packages of a directory, in order of their names.

    A package is a directory with a Python file, packed with its data; environments,
    hidden directories and large files in it are links to the originals. What else is
    in `root`, the job links.
    """
    for entry in _sorted(str(root)):
        if entry.name.endswith(MODULES) and entry.is_file():
            yield Item(f"{name}/{entry.name}", entry.path, entry.stat())
        elif entry.is_dir(follow_symlinks=False) and _is_package(entry):
            yield from package_items(Path(entry.path), f"{name}/{entry.name}")


def package_items(root: Path, name: str) -> Iterator[Item]:
    """Yield the files of a package and its data, in order of their names."""
    for relative, entry in _walk(str(root), "", lambda entry, _: not _stays(entry)):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode) or _stays(entry):
            link = os.path.realpath(entry.path)
            yield Item(f"{name}/{relative}", entry.path, status, link)
        elif stat.S_ISREG(status.st_mode):
            yield Item(f"{name}/{relative}", entry.path, status)


def _walk(
    root: str, above: str, descends: Descends
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield what is in no directory that is walked, and its path below the root."""
    for entry in _sorted(root):
        relative = above + entry.name
        if entry.is_dir(follow_symlinks=False) and descends(entry, relative):
            yield from _walk(entry.path, f"{relative}/", descends)
        else:
            yield relative, entry


def _sorted(directory: str) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _stays(entry: os.DirEntry[str]) -> bool:
    """Return whether something beside modules is linked, not packed."""
    if entry.is_dir(follow_symlinks=False):
        return entry.name.startswith(".") or _is_environment(entry)
    large = entry.stat(follow_symlinks=False).st_size > LARGE
    return large and not entry.name.endswith(MODULES)


def _is_environment(entry: os.DirEntry[str]) -> bool:
    return any(Path(entry.path, mark).exists() for mark in ENVIRONMENT_MARKS)


def _is_package(entry: os.DirEntry[str]) -> bool:
    """Return whether a directory has modules, or byte code of those beside it."""
    if entry.name.startswith(".") or _is_environment(entry):
        return False
    with suppress(PermissionError):
        return any(file.name.endswith(MODULES) for file in _sorted(entry.path))
    return False


def _moved_link(path: Path, name: str, inside: Mapping[Path, str]) -> str:
    """Return the target of a link at `name` in the archive."""
    target = Path(os.path.normpath(path.parent / path.readlink()))
    for root, moved in inside.items():
        if target.is_relative_to(root):
            new = f"{moved}/{target.relative_to(root).as_posix()}"
            return os.path.relpath(new, Path(name).parent)
    return str(target)
