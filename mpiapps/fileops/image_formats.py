"""Capabilities of image formats, and conversion of frames to a mode of a format."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageCms


@dataclass(frozen=True)
class ImageFormat:
    """What Pillow can write to files of a format.

    Attributes
    ----------
    modes : tuple of str
        Pixel modes.
    metadata : tuple of str
        Metadata arguments of `Image.save`.
    multiple : str
        Images after the first: "frames" of an animation, "pages", "views", or "".
    """

    modes: tuple[str, ...]
    metadata: tuple[str, ...] = ()
    multiple: str = ""


CAMERA = ("exif", "icc_profile", "xmp")
FORMATS: Mapping[str, ImageFormat] = {
    "AVIF": ImageFormat(("RGB", "RGBA"), CAMERA, "frames"),
    "BMP": ImageFormat(("1", "L", "P", "RGB"), ("dpi",)),
    "GIF": ImageFormat(("1", "L", "P", "RGB", "RGBA"), ("comment",), "frames"),
    "JPEG": ImageFormat(("L", "RGB", "CMYK"), (*CAMERA, "dpi", "comment")),
    "JPEG2000": ImageFormat(("L", "LA", "RGB", "RGBA", "I;16"), ("comment",)),
    "MPO": ImageFormat(("L", "RGB", "CMYK"), (*CAMERA, "dpi", "comment"), "views"),
    "PDF": ImageFormat(("1", "L", "P", "RGB", "CMYK"), ("dpi",), "pages"),
    "PNG": ImageFormat(
        ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        ("exif", "icc_profile", "dpi"),
        "frames",
    ),
    "PPM": ImageFormat(("1", "L", "RGB", "I;16")),
    "TIFF": ImageFormat(
        (
            *("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB"),
            *("I", "I;16", "I;16B", "F"),
        ),
        ("exif", "icc_profile", "dpi"),
        "pages",
    ),
    "WEBP": ImageFormat(("RGB", "RGBA"), CAMERA, "frames"),
}
ALPHA = ("LA", "PA", "RGBA")
QUALITY = 95  # of a lossy encoding, if that of the source is unknown
GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "F")


def convert_frame(frame: Image.Image, target: str) -> Image.Image:
    """Return a frame in the closest mode that a format supports."""
    image, modes = frame, FORMATS[target].modes
    key = frame.info.get("transparency")
    # GIF has one transparent colour, PNG an alpha value for each palette entry.
    supported = target == "PNG" or (target == "GIF" and isinstance(key, int))
    if key is not None and not supported:
        image = with_alpha(image)
    if image.mode in ("I", "I;16B", "F") and image.mode not in modes:
        image = _as_16_bits(image, target)
    if image.mode == "I;16" and image.mode not in modes:
        image = _as_8_bits(image)
    if image.mode in ALPHA and "RGBA" not in modes:
        image = _on_white(image)
    if image.mode not in modes:
        grey = image.mode in GREY and "L" in modes
        mode = "RGBA" if image.mode in ALPHA else "L" if grey else "RGB"
        image = _as_rgb(image, mode)
    if image is not frame:
        info = {k: v for k, v in frame.info.items() if k != "transparency"}
        if (image.mode in GREY) != (frame.mode in GREY) or frame.mode == "CMYK":
            info.pop("icc_profile", None)  # of another colour space
        image.info = info
    if target == "GIF" and "RGB" in image.mode:
        return _with_palette(image)
    return image


def with_alpha(frame: Image.Image) -> Image.Image:
    """Return a frame with its transparent colour as an alpha channel."""
    if not frame.mode.startswith("I"):
        return frame.convert("RGBA")
    opaque = np.asarray(frame) != frame.info["transparency"]
    alpha = Image.fromarray(opaque.astype(np.uint8) * 255)
    return Image.merge("LA", (_as_8_bits(_as_16_bits(frame, "PNG")), alpha))


def _with_palette(frame: Image.Image) -> Image.Image:
    """Return a frame with a palette, if it has at most 256 colours."""
    colours = np.array(frame.convert("RGBA"))
    clear = colours[..., 3] < 128
    colours[..., 3] = 255
    colours[clear] = 0
    palette, indices = np.unique(colours.view("<u4")[..., 0], return_inverse=True)
    if len(palette) > 256:
        return frame
    image = Image.fromarray(indices.reshape(clear.shape).astype(np.uint8))
    image.putpalette(palette.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    image.info = dict(frame.info)
    if clear.any():
        image.info["transparency"] = 0  # the sorted palette begins with 0
    return image


def _as_16_bits(frame: Image.Image, target: str) -> Image.Image:
    samples = np.asarray(frame)
    if frame.mode == "F" or samples.min() < 0 or samples.max() >= 2**16:
        raise ValueError(
            f"has 32-bit samples, and {target} supports fewer bits; use --format tiff"
        )
    return Image.fromarray(samples.astype(np.uint16))


def _as_8_bits(frame: Image.Image) -> Image.Image:
    samples = np.asarray(frame).astype(np.uint32)
    return Image.fromarray(((samples * 255 + 2**15) // (2**16 - 1)).astype(np.uint8))


def _on_white(frame: Image.Image) -> Image.Image:
    """Return a frame composited on white; transparent pixels may have any colour."""
    white = Image.new("RGBA", frame.size, "white")
    white.alpha_composite(frame.convert("RGBA"))
    return white.convert("L" if frame.mode == "LA" else "RGB")


def _as_rgb(frame: Image.Image, mode: str) -> Image.Image:
    """Return a frame in an RGB-like mode; CMYK is converted by its ICC profile."""
    profile = frame.info.get("icc_profile")
    if frame.mode != "CMYK" or not profile:
        return frame.convert(mode)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(frame, source, target, outputMode=mode)
    assert converted is not None
    return converted


def check_depth(image: Any, target: str) -> None:
    """Raise `ValueError` if Pillow would drop half of the bits of each channel."""
    multichannel = image.mode in ("LA", "RGB", "RGBA", "CMYK")
    deep = "I;16" in FORMATS[target].modes and multichannel
    if deep and (";16" in repr(image.tile) or "65535" in repr(image.tile)):
        raise ValueError(
            "has 16 bits per channel, of which Pillow keeps 8; use a --format with 8"
            " bits, such as jpg or webp, to accept the loss"
        )
