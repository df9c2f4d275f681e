"""What formats of pictures can hold, and pixels brought into a mode of theirs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageCms


@dataclass(frozen=True)
class Format:
    """What Pillow can write into files of a format.

    Attributes
    ----------
    modes : tuple of str
        How pixels may be.
    metadata : tuple of str
        Arguments of `Image.save`, besides pixels.
    several : str
        What follows the first: "frames" of an animation, "pages", or nothing.
    """

    modes: tuple[str, ...]
    metadata: tuple[str, ...] = ()
    several: str = ""


CAMERA = ("exif", "icc_profile", "xmp")
FORMATS: Mapping[str, Format] = {
    "AVIF": Format(("RGB", "RGBA"), CAMERA, "frames"),
    "BMP": Format(("1", "L", "P", "RGB"), ("dpi",)),
    "GIF": Format(("1", "L", "P", "RGB", "RGBA"), ("comment",), "frames"),
    "JPEG": Format(("L", "RGB", "CMYK"), (*CAMERA, "dpi", "comment")),
    "JPEG2000": Format(("L", "LA", "RGB", "RGBA", "I;16"), ("comment",)),
    "MPO": Format(("L", "RGB", "CMYK"), (*CAMERA, "dpi", "comment"), "views"),
    "PDF": Format(("1", "L", "P", "RGB", "CMYK"), ("dpi",), "pages"),
    "PNG": Format(
        ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        ("exif", "icc_profile", "dpi"),
        "frames",
    ),
    "PPM": Format(("1", "L", "RGB", "I;16")),
    "TIFF": Format(
        (
            *("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB"),
            *("I", "I;16", "I;16B", "F"),
        ),
        ("exif", "icc_profile", "dpi"),
        "pages",
    ),
    "WEBP": Format(("RGB", "RGBA"), CAMERA, "frames"),
}
ALPHA = ("LA", "PA", "RGBA")
GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "F")


def fit(frame: Image.Image, form: str) -> Image.Image:
    """Return a frame in a mode that a format holds, as close as there is."""
    found, modes = frame, FORMATS[form].modes
    key = frame.info.get("transparency")
    # GIF has one transparent colour, PNG a degree for each of a palette.
    held = form == "PNG" or (form == "GIF" and isinstance(key, int))
    if key is not None and not held:
        found = _with_alpha(found)
    if found.mode in ("I", "I;16B", "F") and found.mode not in modes:
        found = _as_16_bits(found, form)
    if found.mode == "I;16" and found.mode not in modes:
        found = _as_8_bits(found)
    if found.mode in ALPHA and "RGBA" not in modes:
        found = _on_white(found)
    if found.mode not in modes:
        grey = found.mode in GREY and "L" in modes
        found = _as_rgb(
            found, "RGBA" if found.mode in ALPHA else "L" if grey else "RGB"
        )
    if found is not frame:
        info = {k: v for k, v in frame.info.items() if k != "transparency"}
        if (found.mode in GREY) != (frame.mode in GREY) or frame.mode == "CMYK":
            info.pop("icc_profile", None)  # of other colours
        found.info = info
    return _with_palette(found) if form == "GIF" and "RGB" in found.mode else found


def _with_alpha(frame: Image.Image) -> Image.Image:
    """Return a frame with its transparent colour as an alpha channel."""
    if not frame.mode.startswith("I"):
        return frame.convert("RGBA")
    opaque = np.asarray(frame) != frame.info["transparency"]
    alpha = Image.fromarray(opaque.astype(np.uint8) * 255)
    return Image.merge("LA", (_as_8_bits(_as_16_bits(frame, "PNG")), alpha))


def _with_palette(frame: Image.Image) -> Image.Image:
    """Return a frame with all its colours in a palette, if they fit into one."""
    colours = np.array(frame.convert("RGBA"))
    clear = colours[..., 3] < 128
    colours[..., 3] = 255
    colours[clear] = 0
    palette, places = np.unique(colours.view("<u4")[..., 0], return_inverse=True)
    if len(palette) > 256:
        return frame
    fit = Image.fromarray(places.reshape(clear.shape).astype(np.uint8))
    fit.putpalette(palette.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    fit.info = dict(frame.info)
    if clear.any():
        fit.info["transparency"] = 0  # no other number is less
    return fit


def _as_16_bits(frame: Image.Image, form: str) -> Image.Image:
    samples = np.asarray(frame)
    if frame.mode == "F" or samples.min() < 0 or samples.max() >= 2**16:
        raise ValueError(
            f"has samples of 32 bits, and {form} holds fewer; give --format tiff"
        )
    return Image.fromarray(samples.astype(np.uint16))


def _as_8_bits(frame: Image.Image) -> Image.Image:
    samples = np.asarray(frame).astype(np.uint32)
    return Image.fromarray(((samples * 255 + 2**15) // (2**16 - 1)).astype(np.uint8))


def _on_white(frame: Image.Image) -> Image.Image:
    """Return a frame as it is seen on paper; what is transparent has a colour, too."""
    white = Image.new("RGBA", frame.size, "white")
    white.alpha_composite(frame.convert("RGBA"))
    return white.convert("L" if frame.mode == "LA" else "RGB")


def _as_rgb(frame: Image.Image, mode: str) -> Image.Image:
    """Return a frame in RGB or a mode like it, by its profile if it is CMYK."""
    profile = frame.info.get("icc_profile")
    if frame.mode != "CMYK" or not profile:
        return frame.convert(mode)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    found = ImageCms.profileToProfile(frame, source, target, outputMode=mode)
    assert found is not None
    return found


def see_depth(image: Any, form: str) -> None:
    """Raise `ValueError` if Pillow would drop half of the bits of colours."""
    deep = "I;16" in FORMATS[form].modes and image.mode in ("LA", "RGB", "RGBA", "CMYK")
    if deep and (";16" in repr(image.tile) or "65535" in repr(image.tile)):
        raise ValueError(
            "has 16 bits for each colour, and Pillow keeps 8; give a --format of 8"
            " bits, such as jpg or webp, if that will do"
        )
