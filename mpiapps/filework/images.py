"""Images turned or mirrored, each into a file of its own."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

from mpiapps.app.output import WholeFile
from mpiapps.base.errors import InputError
from mpiapps.base.named import see_installed
from mpiapps.filework.choices import FORMATS, TURNS
from mpiapps.filework.listing import folder_of
from mpiapps.filework.operation import Operation
from mpiapps.filework.segments import Segment


class Images(Operation):
    """Turns images. Local.

    Parameters
    ----------
    turn : str
        One of `TURNS`; degrees are against the clock.
    into : Path
        The folder for the results.
    kind : str
        The end of their names, such as ``pdf``; empty: as they are.
    names : collection of str
        All that will be turned: results keep the folders below their common one.

    Raises
    ------
    LaunchError
        If Pillow is not there.
    InputError
        If two results would have one name.
    """

    def __init__(
        self, turn: str, into: Path, kind: str, names: Collection[str]
    ) -> None:
        see_installed("PIL", "files", "turning images")
        from mpiapps.filework.picture import turned

        self._turned, self._turn, self._into = turned, TURNS[turn], into
        self._kind, self._form = kind, FORMATS[kind] if kind else ""
        folders = {_place(name).parent for name in names}
        self._base = Path(os.path.commonpath(folders) if folders else "/")
        targets: dict[Path, str] = {}
        for name in names:
            target = self.target(name)
            other = targets.setdefault(target, name)
            if other != name:
                raise InputError(f"{other} and {name} would both become {target}")

    def target(self, name: str) -> Path:
        """Return where the result of a file goes."""
        below = _place(name).relative_to(self._base)
        if self._kind:
            below = below.with_suffix(f".{self._kind}")
        return self._into / below

    def stands(self, value: str) -> bool:
        """Return whether the result is where it was written."""
        return os.path.lexists(value)

    def do(self, segment: Segment) -> str:
        """Turn one image; return where it is now."""
        target = self.target(segment.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = self._turned(segment.name, self._turn, self._form)
        WholeFile(target).commit(content)
        return str(target)


def originals(names: Sequence[str], given: Sequence[str], into: str) -> list[str]:
    """Return the files that do not lie in the folder for results. Local.

    Parameters
    ----------
    names : sequence of str
        All files.
    given : sequence of str
        Paths, patterns and names of lists that they come from.
    into : str

    Raises
    ------
    InputError
        If one of these lies in the folder: results would take the place of originals.
    """
    top = os.path.realpath(into)

    @cache
    def inside(folder: str) -> bool:
        return os.path.commonpath([top, os.path.realpath(folder)]) == top

    for path in given:
        if inside(folder_of(path)):
            raise InputError(
                f"{path} lies in the folder for results, --into {into}; name a folder"
                " that holds no originals"
            )
    return [name for name in names if not inside(str(Path(name).parent))]


def _place(name: str) -> Path:
    """Return the absolute path of a file, links as they are."""
    return Path(os.path.normpath(Path(name).absolute()))
