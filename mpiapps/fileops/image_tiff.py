"""The pages of TIFF files, and the compressions that hold their pixels."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image, TiffImagePlugin

from mpiapps.fileops.image_formats import QUALITY

JPEG = ("jpeg", "tiff_jpeg")
# Compression -> the only pixel modes that it holds. All others hold every mode.
MODES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("tiff_ccitt", "group3", "group4"), ("1",)),
    **dict.fromkeys(JPEG, ("L", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB")),
    "webp": ("RGB", "RGBA"),
    # libtiff reads these, but does not write them.
    **dict.fromkeys(
        ("tiff_raw_16", "tiff_thunderscan", "tiff_sgilog", "tiff_sgilog24"), ()
    ),
}
LOSSLESS = "tiff_adobe_deflate"  # holds every mode


def write_tiff(
    content: io.BytesIO, pages: list[Image.Image], metadata: Mapping[str, Any]
) -> None:
    """Write pages, each with its own tags and compression.

    A compression that does not hold the mode of its page is replaced by `LOSSLESS`.
    """
    with TiffImagePlugin.AppendingTiffWriter(content) as writer:
        for page in pages:
            exif = page.info["exif"]
            if xmp := page.info.get("xmp"):
                exif[TiffImagePlugin.XMP] = xmp
            options = {**metadata, "exif": exif}
            compression = str(page.info.get("compression", ""))
            if page.mode not in MODES.get(compression, (page.mode,)):
                options["compression"] = LOSSLESS
            elif compression in JPEG:
                options["quality"] = QUALITY
            page.save(writer, "TIFF", **options)
            writer.newFrame()
