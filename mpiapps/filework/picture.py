"""A picture turned and written again, with all that its format can hold.

Pillow drops on the way what it is not asked to keep: pages and frames after the first,
EXIF and the orientation in it, colour profiles, resolutions, texts, the quality.
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import (
    ExifTags,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
)

from mpiapps.filework.formats import FORMATS, fit, see_depth

# Frames keep the palette of their file, so that their colours stay what they are.
GifImagePlugin.LOADING_STRATEGY = (
    GifImagePlugin.LoadingStrategy.RGB_AFTER_DIFFERENT_PALETTE_ONLY
)
QUALITY = 95  # of what is encoded with a loss, if that of the source is not known


# Tags of TIFF on how pixels are stored: those of the new file are the writer's.
STORAGE = {
    *(254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 280, 281, 284),
    *(292, 293, 317, 320, 322, 323, 324, 325, 330, 338, 339, 340, 341, 347, 512, 513),
    *(514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 700, 34675),
}
# Chunks of PNG that hold however the picture is turned.
CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"gAMA", b"cHRM", b"sRGB", b"cICP")
IFD, SIZE = ExifTags.IFD, (40962, 40963)
XMP = "XML:com.adobe.xmp"
WRITTEN = (XMP.encode(), b"Raw profile type exif", b"Raw profile type APP1")
QUARTERS = ("ROTATE_90", "ROTATE_270")


def turned(path: str, turn: str, form: str = "") -> bytes:
    """Return a file with the picture of another one, turned as it is seen. Local.

    Parameters
    ----------
    path : str
    turn : str
        A name in `Image.Transpose`; empty: as it is.
    form : str
        One of `FORMATS`; empty: that of the file.

    Raises
    ------
    ValueError
        If the format cannot hold what is in the picture.
    OSError
        If it is not a picture, or is cut off.
    """
    with Image.open(path) as image:
        return _Source(image, path, turn).encoded(form or image.format or "")


class _Source:
    """A picture as it is written: its frames, upright and turned. Local."""

    def __init__(self, image: Any, path: str, turn: str) -> None:
        self._image, self._path, self._turn = image, path, turn
        self._quarter = False

    def encoded(self, form: str) -> bytes:
        """Return the content of a file of a format."""
        if form not in FORMATS:
            raise ValueError(f"{form} cannot be written whole; give --format png")
        frames = list(self._frames(form))
        first, *rest = pages = [fit(frame, form) for frame in frames]
        metadata = self._metadata(first.info, form)
        content = io.BytesIO()
        if form == "TIFF":
            _write_tiff(content, pages, metadata)
            return content.getvalue()
        options = metadata | self._encoding(form)
        if rest:
            options |= {"save_all": True, "append_images": rest}
            options |= self._timing(frames, form)
        first.save(content, form, **options)
        return content.getvalue()

    def _frames(self, form: str) -> Iterator[Image.Image]:
        """Yield what is to be in the file, each with its EXIF in its info."""
        image = self._image
        there, wanted = FORMATS.get(image.format), FORMATS[form].several
        several = there.several if there else ""
        count = getattr(image, "n_frames", 1)
        if several == "views" != wanted:
            count = 1  # the others are previews, depths, gains of the first
        if count > 1 and wanted not in (several, "pages"):
            raise ValueError(
                f"has {count} {several or 'frames'}, and a file of {form} holds one;"
                " give --format pdf or tiff"
            )
        for n in range(count):
            image.seek(n)
            see_depth(image, form)
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            self._quarter = (orientation in range(5, 9)) != (self._turn in QUARTERS)
            frame = ImageOps.exif_transpose(image)
            if self._turn:
                frame = frame.transpose(Image.Transpose[self._turn])
            frame.info["exif"] = self._exif(frame.size)
            yield frame

    def _exif(self, size: tuple[int, int]) -> Image.Exif:
        """Return the EXIF data of the frame, for its new orientation."""
        known: Image.Exif = self._image.getexif()
        camera, place = (dict(known.get_ifd(part)) for part in (IFD.Exif, IFD.GPSInfo))
        if IFD.Interop in camera:
            camera[IFD.Interop] = known.get_ifd(IFD.Interop)
        sizes = {tag: n for tag, n in zip(SIZE, size, strict=True) if tag in camera}
        exif = Image.Exif()
        for part, values in ((IFD.Exif, camera | sizes), (IFD.GPSInfo, place)):
            exif.get_ifd(part).update(values)
            if values:
                exif[part] = values
        exif.update({tag: v for tag, v in known.items()
                     if tag not in STORAGE and tag not in exif})  # fmt: skip
        if self._quarter and 282 in exif and 283 in exif:  # resolutions
            exif[282], exif[283] = exif[283], exif[282]
        return exif

    def _metadata(self, info: Mapping[Any, Any], form: str) -> dict[str, Any]:
        """Return what is kept besides pixels, as arguments of `Image.save`."""
        known = dict(info)
        dpi = known.pop("dpi", None)
        if dpi and all(0 < x < 10**5 for x in dpi):
            known["dpi"] = dpi[::-1] if self._quarter else dpi
        found = {k: known[k] for k in FORMATS[form].metadata if known.get(k)}
        if form == "PNG":
            found["pnginfo"] = self._chunks(known.get("xmp"))
        if form == self._image.format == "TIFF":
            found.pop("dpi", None)  # it is in tags, in a unit of its own
        if form in ("JPEG", "MPO"):
            parts = [part for name, part in getattr(self._image, "applist", ())
                     if name == "APP13"]  # fmt: skip
            found["extra"] = b"".join(
                struct.pack(">HH", 0xFFED, len(part) + 2) + part for part in parts
            )
        if form == "PDF":
            changed = time.gmtime(Path(self._path).stat().st_mtime)
            found |= {"creationDate": changed, "modDate": changed}
        return found

    def _chunks(self, xmp: bytes | None) -> PngImagePlugin.PngInfo:
        """Return the chunks of a PNG file, and a description."""
        found = PngImagePlugin.PngInfo()
        if self._image.format == "PNG":
            for name, data in _png_chunks(Path(self._path).read_bytes()):
                if name in CHUNKS and data.partition(b"\0")[0] not in WRITTEN:
                    found.add(name, data)
        if xmp:
            found.add_itxt(XMP, xmp.decode(errors="replace"))
        return found

    def _encoding(self, form: str) -> dict[str, Any]:
        """Return how pixels are encoded: as they were, else with little loss."""
        match form:
            case "JPEG" | "MPO" | "PDF":
                return self._jpeg()
            case "WEBP" if not _is_lossy(self._image, self._path):
                return {"lossless": True, "quality": 100, "exact": True}
            case "AVIF" if not _is_lossy(self._image, self._path):
                return {"quality": 100, "subsampling": "4:4:4"}
            case "WEBP" | "AVIF":
                return {"quality": QUALITY}
        return {}

    def _jpeg(self) -> dict[str, Any]:
        """Return the tables of the source; rows are columns after a quarter turn."""
        tables = getattr(self._image, "quantization", None) or _tables()
        grids = [np.reshape(tables[k], (8, 8)) for k in sorted(tables)]
        sampling = max(0, JpegImagePlugin.get_sampling(self._image))
        return {
            "qtables": [(g.T if self._quarter else g).ravel().tolist() for g in grids],
            "subsampling": 0 if sampling == 1 and self._quarter else sampling,
            "progressive": bool(self._image.info.get("progressive")),
        }

    def _timing(self, frames: list[Image.Image], form: str) -> dict[str, Any]:
        """Return when frames are shown, each a whole picture."""
        if FORMATS[form].several != "frames":
            return {}
        apart = form == "PNG" and frames[0].info.get("default_image", False)
        shown = frames[1:] if apart else frames
        found: dict[str, Any] = {
            "duration": [frame.info.get("duration", 0) for frame in shown]
        }
        plays = frames[0].info.get("loop", 1 if self._image.format == "GIF" else 0)
        if form != "GIF" or "loop" in frames[0].info:
            found["loop"] = plays
        if form == "GIF":
            clear = any("transparency" in f.info or f.mode == "RGBA" for f in frames)
            found["disposal"] = 2 if clear else 1
        if form == "PNG":
            found |= {"disposal": 0, "blend": 0, "default_image": apart}
        return found


@cache
def _tables() -> dict[int, list[int]]:
    """Return the tables of JPEG for `QUALITY`."""
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "JPEG", quality=QUALITY)
    content.seek(0)
    with JpegImagePlugin.JpegImageFile(content) as image:
        return image.quantization


def _is_lossy(image: Any, path: str) -> bool:
    if image.format == "WEBP":
        return b"VP8 " in _riff_chunks(Path(path).read_bytes())
    compression = image.info.get("compression")
    return image.format in ("AVIF", "JPEG", "MPO") or compression == "jpeg"


def _riff_chunks(data: bytes, place: int = 12) -> Iterator[bytes]:
    """Yield the names of the chunks of a WebP file, those inside frames too."""
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        yield name
        place += 8 + (16 if name == b"ANMF" else size + size % 2)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of the chunks of a PNG file."""
    place = 8
    while place + 12 <= len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        yield name, data[place + 8 : place + 8 + size]
        place += 12 + size


def _write_tiff(
    content: io.BytesIO, pages: list[Image.Image], metadata: dict[str, Any]
) -> None:
    """Write pages, each with its own tags and compression."""
    with TiffImagePlugin.AppendingTiffWriter(content) as writer:
        for page in pages:
            exif = page.info["exif"]
            if xmp := page.info.get("xmp"):
                exif[TiffImagePlugin.XMP] = xmp
            options = metadata | {"exif": exif}
            if page.info.get("compression") == "jpeg":
                options["quality"] = QUALITY
            page.save(writer, "TIFF", **options)
            writer.newFrame()
