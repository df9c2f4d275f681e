"""Transform an image file, with all metadata that the format of the result supports.

By default Pillow drops pages and frames after the first, EXIF with its orientation,
colour profiles, resolutions, texts and the encoding quality.
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
)

from mpiapps.fileops.image_formats import (
    FORMATS,
    QUALITY,
    check_depth,
    convert_frame,
)
from mpiapps.fileops.image_resize import Resize
from mpiapps.fileops.image_tiff import write_tiff

# Keep the palettes of the frames, and so their exact colours.
GifImagePlugin.LOADING_STRATEGY = (
    GifImagePlugin.LoadingStrategy.RGB_AFTER_DIFFERENT_PALETTE_ONLY
)

# TIFF tags that describe the storage of pixels; the writer sets those of the result.
STORAGE_TAGS = {
    *(254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 280, 281, 284),
    *(292, 293, 317, 320, 322, 323, 324, 325, 330, 338, 339, 340, 341, 347, 512, 513),
    *(514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 700, 34675),
}
# PNG chunks that do not depend on the orientation.
KEPT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"gAMA", b"cHRM", b"sRGB", b"cICP")
IFD, SIZE_TAGS = ExifTags.IFD, (40962, 40963)
XMP = "XML:com.adobe.xmp"
PILLOW_TEXTS = (XMP.encode(), b"Raw profile type exif", b"Raw profile type APP1")
QUARTER_TURNS = ("ROTATE_90", "ROTATE_270")
TIME_UNITS = {"AVIF": 1, "GIF": 10}  # ms; the other formats have durations as they are


def transform_image(
    path: str, transposition: str, target: str = "", resize: Resize | None = None
) -> bytes:
    """Return the content of an image file, upright by its EXIF data, then transposed.

    Parameters
    ----------
    path : str
    transposition : str
        A name in `Image.Transpose`; empty: none.
    target : str
        Format of the result, one of `FORMATS`; empty: that of the file.
    resize : Resize, optional
        Size of each frame or page of the result.

    Raises
    ------
    ValueError
        If the format cannot represent the image.
    OSError
        If the file is not an image, or is truncated.
    """
    with Image.open(path) as image:
        source = _SourceImage(image, path, transposition, resize)
        return source.encode(target or image.format or "")


class _SourceImage:
    """An image to transform and encode."""

    def __init__(
        self, image: Any, path: str, transposition: str, resize: Resize | None
    ) -> None:
        self._image, self._path, self._transposition = image, path, transposition
        self._resize = resize
        self._quarter_turn = False

    def encode(self, target: str) -> bytes:
        """Return the content of a file of a format."""
        if target not in FORMATS:
            raise ValueError(f"{target} is not supported for results; use --format png")
        frames = list(self._frames(target))
        if FORMATS[target].multiple == "frames" and target != "PNG":
            # A default image is shown in place of the animation, not in it.
            del frames[: bool(frames[0].info.get("default_image"))]
        first, *rest = pages = [convert_frame(frame, target) for frame in frames]
        metadata = self._metadata(first.info, target)
        content = io.BytesIO()
        if target == "TIFF":
            write_tiff(content, pages, metadata)
            return content.getvalue()
        options = metadata | self._encoding(target)
        if rest:
            options |= {"save_all": True, "append_images": rest}
            options |= self._timing(frames, target)
        first.save(content, target, **options)
        return content.getvalue()

    def _frames(self, target: str) -> Iterator[Image.Image]:
        """Yield the transformed frames, each with its EXIF data in `info`."""
        image = self._image
        source_format = FORMATS.get(image.format)
        multiple = source_format.multiple if source_format else ""
        allowed = FORMATS[target].multiple
        count = getattr(image, "n_frames", 1)
        if multiple == "views" != allowed:
            count = 1  # other views are previews, depth maps, gain maps of the first
        if count > 1 and allowed not in (multiple, "pages"):
            raise ValueError(
                f"has {count} {multiple or 'frames'}, and a {target} file contains one;"
                " use --format pdf or tiff"
            )
        for n in range(count):
            image.seek(n)
            check_depth(image, target)
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            sideways = orientation in range(5, 9)
            self._quarter_turn = sideways != (self._transposition in QUARTER_TURNS)
            frame = ImageOps.exif_transpose(image)
            if self._transposition:
                frame = frame.transpose(Image.Transpose[self._transposition])
            if self._resize:
                frame = self._resize.apply(frame)
            frame.info["exif"] = self._exif(frame.size)
            yield frame

    def _exif(self, size: tuple[int, int]) -> Image.Exif:
        """Return the EXIF data of the frame, for its new orientation."""
        source: Image.Exif = self._image.getexif()
        camera, gps = (dict(source.get_ifd(ifd)) for ifd in (IFD.Exif, IFD.GPSInfo))
        if IFD.Interop in camera:
            camera[IFD.Interop] = source.get_ifd(IFD.Interop)
        sizes = dict(zip(SIZE_TAGS, size, strict=True))
        sizes = {tag: n for tag, n in sizes.items() if tag in camera}
        exif = Image.Exif()
        for ifd, values in ((IFD.Exif, camera | sizes), (IFD.GPSInfo, gps)):
            exif.get_ifd(ifd).update(values)
            if values:
                exif[ifd] = values
        exif.update({tag: v for tag, v in source.items()
                     if tag not in STORAGE_TAGS and tag not in exif})  # fmt: skip
        if self._quarter_turn and 282 in exif and 283 in exif:  # resolutions
            exif[282], exif[283] = exif[283], exif[282]
        return exif

    def _metadata(self, info: Mapping[Any, Any], target: str) -> dict[str, Any]:
        """Return the metadata to keep, as arguments of `Image.save`."""
        entries = dict(info)
        dpi = entries.pop("dpi", None)
        if dpi and all(0 < x < 10**5 for x in dpi):
            entries["dpi"] = dpi[::-1] if self._quarter_turn else dpi
        kept = FORMATS[target].metadata
        metadata = {name: entries[name] for name in kept if entries.get(name)}
        if target == "PNG":
            metadata["pnginfo"] = self._chunks(entries.get("xmp"))
        if target == self._image.format == "TIFF":
            metadata.pop("dpi", None)  # it is in tags, with their unit
        if target in ("JPEG", "MPO"):
            parts = [part for name, part in getattr(self._image, "applist", ())
                     if name == "APP13"]  # fmt: skip
            metadata["extra"] = b"".join(
                struct.pack(">HH", 0xFFED, len(part) + 2) + part for part in parts
            )
        if target == "PDF":
            changed = time.gmtime(Path(self._path).stat().st_mtime)
            metadata |= {"creationDate": changed, "modDate": changed}
        return metadata

    def _chunks(self, xmp: bytes | None) -> PngImagePlugin.PngInfo:
        """Return the chunks to keep of a PNG file, and the XMP data."""
        chunks = PngImagePlugin.PngInfo()
        if self._image.format == "PNG":
            for name, data in _png_chunks(Path(self._path).read_bytes()):
                keyword = data.partition(b"\0")[0]
                if name in KEPT_CHUNKS and keyword not in PILLOW_TEXTS:
                    chunks.add(name, data)
        if xmp:
            chunks.add_itxt(XMP, xmp.decode(errors="replace"))
        return chunks

    def _encoding(self, target: str) -> dict[str, Any]:
        """Return encoding options: those of the source, else of high quality."""
        match target:
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
        """Return the quantisation of the source, transposed after a quarter turn."""
        tables = getattr(self._image, "quantization", None) or _jpeg_tables()
        grids = [np.reshape(tables[k], (8, 8)) for k in sorted(tables)]
        grids = [grid.T for grid in grids] if self._quarter_turn else grids
        sampling = max(0, JpegImagePlugin.get_sampling(self._image))
        return {
            "qtables": [grid.ravel().tolist() for grid in grids],
            "subsampling": 0 if sampling == 1 and self._quarter_turn else sampling,
            "progressive": bool(self._image.info.get("progressive")),
        }

    def _timing(self, frames: list[Image.Image], target: str) -> dict[str, Any]:
        """Return the timing options of an animation of full frames."""
        if FORMATS[target].multiple != "frames":
            return {}
        default_image = target == "PNG" and frames[0].info.get("default_image", False)
        shown = frames[1:] if default_image else frames
        options: dict[str, Any] = {
            "duration": [
                _duration(frame.info.get("duration", 0), target) for frame in shown
            ]
        }
        plays = frames[0].info.get("loop", 1 if self._image.format == "GIF" else 0)
        if target != "GIF" or "loop" in frames[0].info:
            options["loop"] = plays
        if target == "GIF":
            clear = any("transparency" in f.info or f.mode == "RGBA" for f in frames)
            options["disposal"] = 2 if clear else 1
        if target == "PNG":
            options |= {"disposal": 0, "blend": 0, "default_image": default_image}
        return options


def _duration(milliseconds: float, target: str) -> float:
    """Return the duration that a format has for a frame; above 0 if it was."""
    if not (unit := TIME_UNITS.get(target)) or not milliseconds:
        return milliseconds
    return max(1, round(milliseconds / unit)) * unit


@cache
def _jpeg_tables() -> dict[int, list[int]]:
    """Return the JPEG quantisation tables of `QUALITY`."""
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


def _riff_chunks(data: bytes, offset: int = 12) -> Iterator[bytes]:
    """Yield the names of the chunks of a WebP file, also of those inside frames."""
    while offset + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, offset)
        yield name
        offset += 8 + (16 if name == b"ANMF" else size + size % 2)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of the chunks of a PNG file."""
    offset = 8
    while offset + 12 <= len(data):
        size, name = struct.unpack_from(">I4s", data, offset)
        yield name, data[offset + 8 : offset + 8 + size]
        offset += 12 + size
