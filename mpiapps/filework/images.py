"""Images turned or mirrored, each into a file of its own."""

from __future__ import annotations

import io
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from mpiapps.app.output import WholeFile
from mpiapps.base.errors import InputError
from mpiapps.base.named import needed
from mpiapps.filework.choices import TURNS
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
        self._image = needed("PIL.Image", "files", "turning images")
        self._turn, self._into, self._kind = TURNS[turn], into, kind
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

    def do(self, segment: Segment) -> str:
        """Turn one image; return where it is now."""
        target = self.target(segment.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._image.open(segment.name) as image:
            form = self._kind.upper() or image.format or ""
            image.load()
            turned: Any = image
            if self._turn:
                turned = image.transpose(self._image.Transpose[self._turn])
            if form == "PDF" and turned.mode not in ("1", "L", "RGB", "CMYK"):
                turned = turned.convert("RGB")
            content = io.BytesIO()
            turned.save(content, "JPEG" if form == "JPG" else form)
        WholeFile(target).commit(content.getvalue())
        return str(target)


def _place(name: str) -> Path:
    """Return the absolute path of a file, links as they are."""
    return Path(os.path.normpath(Path(name).absolute()))
