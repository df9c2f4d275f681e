"""Frames of images in another size."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from mpiapps.fileops.image_formats import with_alpha


@dataclass(frozen=True)
class Resize:
    """The size of results; width and height of an image are scaled alike.

    Attributes
    ----------
    box : tuple of (int, int)
        Largest width and height in pixels, one of which the result has; 0: unlimited.
    factor : float
        Factor of width and height; not used with `box`.
    """

    box: tuple[int, int] | None = None
    factor: float = 1.0

    def size(self, old: tuple[int, int]) -> tuple[int, int]:
        """Return width and height of the result of an image, 1 pixel at least."""
        factor = self.factor
        if self.box:
            limits = zip(self.box, old, strict=True)
            factor = min(limit / length for limit, length in limits if limit)
        width, height = (max(1, round(length * factor)) for length in old)
        return width, height

    def apply(self, frame: Image.Image) -> Image.Image:
        """Return a frame in the new size, filtered by a Lanczos kernel of 3 lobes.

        Frames with palettes or of black and white have no values between two pixels:
        the result has colours or grey.
        """
        size = self.size(frame.size)
        if size == frame.size:
            return frame
        if "transparency" in frame.info:
            frame = with_alpha(frame)
        elif frame.mode in ("P", "PA"):
            frame = frame.convert("RGBA" if frame.has_transparency_data else "RGB")
        elif frame.mode == "1":
            frame = frame.convert("L")
        return frame.resize(size, Image.Resampling.LANCZOS)
