"""Images mirrored, rotated or resized, each written to its own file."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from mpiapps.base.errors import InputError
from mpiapps.base.optional import require
from mpiapps.fileops.choices import FORMATS, TRANSPOSITIONS
from mpiapps.fileops.operation import Operation
from mpiapps.fileops.segments import Segment
from mpiapps.storage.atomic_file import AtomicFile


class ImageTransform(Operation):
    """Mirror, rotate or resize images.

    Parameters
    ----------
    transform : str
        One of `TRANSPOSITIONS`; degrees are counterclockwise.
    output_dir : Path
        Directory of the results.
    suffix : str
        Suffix of their names, such as ``pdf``; empty: that of the originals.
    names : collection of str
        All images: results keep the directories below their common directory.
    box, factor
        Size of the results; see `image_resize.Resize`.

    Raises
    ------
    LaunchError
        If Pillow is not installed.
    InputError
        If two results would have the same path.
    """

    def __init__(  # noqa: PLR0913 - one for each option of image operations
        self,
        transform: str,
        output_dir: Path,
        suffix: str,
        names: Collection[str],
        *,
        box: tuple[int, int] | None = None,
        factor: float = 1.0,
    ) -> None:
        require("PIL", "files", "image transforms")
        from mpiapps.fileops.image_resize import Resize
        from mpiapps.fileops.image_transform import transform_image

        self._resize = Resize(box, factor)
        self._transform_image = transform_image
        self._transposition, self._output_dir = TRANSPOSITIONS[transform], output_dir
        self._suffix, self._format = suffix, FORMATS[suffix] if suffix else ""
        directories = {_absolute(name).parent for name in names}
        self._base = Path(os.path.commonpath(directories) if directories else "/")
        targets: dict[Path, str] = {}
        for name in names:
            target = self.target(name)
            other = targets.setdefault(target, name)
            if other != name:
                raise InputError(
                    f"{other} and {name} would both be written to {target}"
                )

    def target(self, name: str) -> Path:
        """Return the path of the result of a file."""
        relative = _absolute(name).relative_to(self._base)
        if self._suffix:
            relative = relative.with_suffix(f".{self._suffix}")
        return self._output_dir / relative

    def is_still_valid(self, value: str) -> bool:
        """Return whether the result exists."""
        return os.path.lexists(value)

    def execute(self, segment: Segment) -> str:
        """Transform one image; return the path of the result."""
        target = self.target(segment.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = self._transform_image(
            segment.name, self._transposition, self._format, self._resize
        )
        AtomicFile(target).commit(content)
        return str(target)


def _absolute(name: str) -> Path:
    """Return the absolute path of a file, without resolving links."""
    return Path(os.path.normpath(Path(name).absolute()))
