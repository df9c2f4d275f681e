"""Transformed images keep all pixels and metadata that their formats support."""

import io
import itertools
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from mpiapps.fileops.image_formats import FORMATS
from mpiapps.fileops.image_transform import transform_image
from tests.fileops.images import (
    PROFILE,
    SHAPE,
    TRANSFORMS,
    XMP,
    assert_similar,
    frames,
    make_image,
    pixels,
    saved,
    transformed,
)

UPRIGHT = {  # EXIF orientation -> transform to the upright image
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.swapaxes(np.rot90(a, 2), 0, 1),
    8: np.rot90,
}
SAME_FORMAT = [
    (form, mode)
    for form, kind in FORMATS.items()
    if form not in ("PDF", "MPO")
    for mode in kind.modes
    if mode not in ("RGBX", "YCbCr", "LAB", "PA", "I;16B")
]


@pytest.mark.parametrize(("form", "mode"), SAME_FORMAT)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_pixels_are_transformed_in_the_same_mode(tmp_path, form, mode, transform):
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    content = saved(make_image(mode), form, **options)
    ((before, _),) = frames(content)
    result = transformed(tmp_path, content, transform)
    ((after, _),) = frames(result)
    assert_similar(after, TRANSFORMS[transform](before), form)
    with Image.open(io.BytesIO(content)) as old, Image.open(io.BytesIO(result)) as new:
        assert new.format == old.format
        assert new.mode == old.mode or {new.mode, old.mode} == {"L", "P"}


def exif(orientation):
    data = Image.Exif()
    data[ExifTags.Base.Orientation] = orientation
    data[ExifTags.Base.Make] = "A Camera"
    data.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:01:02"
    data.get_ifd(ExifTags.IFD.Exif)[40962] = SHAPE[1]
    data.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):  # for TIFF
        data[ifd] = data.get_ifd(ifd)
    return data


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_the_orientation_is_applied_to_the_pixels(tmp_path, form, orientation):
    options = {"lossless": True} if form == "WEBP" else {}
    image = make_image("RGB")
    content = saved(image, form, exif=exif(orientation), **options)
    for transform, to in itertools.product(
        ("90", "none", "top-bottom"), ("", "PNG", "JPEG")
    ):
        result = transformed(tmp_path, content, transform, to)
        expected = TRANSFORMS[transform](UPRIGHT[orientation](pixels(image)))
        with Image.open(io.BytesIO(result)) as output:
            assert_similar(pixels(output), expected, "JPEG" if to == "JPEG" else form)
            data = output.getexif()
            assert data.get(ExifTags.Base.Orientation, 1) == 1
            assert data[ExifTags.Base.Make] == "A Camera"
            inner = data.get_ifd(ExifTags.IFD.Exif)
            assert inner[ExifTags.Base.DateTimeOriginal] == "2020:01:02"
            assert inner[40962] == output.width
            assert data.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"


METADATA = {
    "icc_profile": (PROFILE, ("JPEG", "PNG", "TIFF", "WEBP", "AVIF")),
    "dpi": ((300, 100), ("JPEG", "PNG", "TIFF", "BMP")),
    "xmp": (XMP, ("JPEG", "TIFF", "WEBP", "AVIF", "PNG")),
    "comment": (b"a comment", ("JPEG", "GIF", "JPEG2000")),
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_are_kept_in_formats_that_support_them(tmp_path, name):
    value, forms = METADATA[name]
    for source in forms:
        image = make_image("P" if source == "GIF" else "RGB")
        options = {name: value}
        if source == "PNG" and name == "xmp":
            options = {"pnginfo": PngImagePlugin.PngInfo()}
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
        if source == "TIFF" and name == "xmp":
            options = {"tiffinfo": {700: XMP}}
        content = saved(image, source, **options)
        for target, transform in itertools.product(forms, ("180", "90")):
            ((_, info),) = frames(transformed(tmp_path, content, transform, target))
            wanted = value
            if name == "dpi":
                wanted = pytest.approx(
                    value if transform == "180" else value[::-1], abs=0.1
                )
            assert info[name] == wanted, (source, target)


def test_texts_and_colour_of_png_are_copied(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "an image")
    info.add_text("long", "x" * 5000, zip=True)
    info.add_itxt("Author", "é", lang="fr", tkey="Auteur")
    info.add(b"gAMA", struct.pack(">I", 45455))
    result = transformed(tmp_path, saved(make_image("RGB"), "PNG", pnginfo=info))
    with Image.open(io.BytesIO(result)) as output:
        output.load()
        assert output.text["Title"] == "an image"
        assert output.text["long"] == "x" * 5000
        assert (output.text["Author"], output.text["Author"].lang) == ("é", "fr")
        assert output.info["gamma"] == 0.45455


def test_iptc_captions_are_copied(tmp_path):
    part = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x08\x1c\x02\x19\0\x03sea"
    extra = struct.pack(">HH", 0xFFED, len(part) + 2) + part
    content = saved(make_image("RGB"), "JPEG", extra=extra)
    with Image.open(io.BytesIO(transformed(tmp_path, content))) as output:
        assert ("APP13", part) in output.applist


def test_jpeg_keeps_its_quality(tmp_path):
    for options in (
        {"quality": 30}, {"quality": 98, "subsampling": 0},
        {"quality": 85, "subsampling": 1}, {"quality": 85, "progressive": True},
    ):  # fmt: skip
        content = saved(make_image("RGB"), "JPEG", **options)
        for transform in ("left-right", "90"):
            result = transformed(tmp_path, content, transform)
            with (
                Image.open(io.BytesIO(content)) as old,
                Image.open(io.BytesIO(result)) as new,
            ):
                for n, table in old.quantization.items():
                    grid = np.reshape(table, (8, 8))
                    expected = grid if transform == "left-right" else grid.T
                    assert np.array_equal(
                        np.reshape(new.quantization[n], (8, 8)), expected
                    )
                assert new.info.get("progressive") == old.info.get("progressive")
        if options["quality"] != 30:
            again = transformed(tmp_path, transformed(tmp_path, content))
            ((a, _),), ((b, _),) = frames(content), frames(again)
            assert np.abs(a - b).mean() < 0.5


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_stays_lossless_or_lossy(tmp_path, lossless):
    content = saved(make_image("RGB"), "WEBP", lossless=lossless)
    result = transformed(tmp_path, content)
    assert (b"VP8L" in result[:64]) == lossless
    png = saved(make_image("RGB"), "PNG")
    assert b"VP8L" in transformed(tmp_path, png, form="WEBP")[:64]


CONVERTED = [
    (mode, form)
    for mode in ("1", "L", "LA", "P", "P-clear", "P-alpha", "L-key", "RGB", "RGBA",
                 "RGB-key", "I;16", "CMYK")
    for form in FORMATS if form != "MPO"
]  # fmt: skip


@pytest.mark.parametrize(("mode", "form"), CONVERTED)
def test_every_mode_is_converted_to_every_format(tmp_path, mode, form):
    plain, _, key = mode.partition("-")
    image = make_image(plain)
    keys = {"clear": 2, "alpha": bytes([0, 90, 255]), "": None}
    keys["key"] = image.getpixel((0, 0))
    options = {} if keys[key] is None else {"transparency": keys[key]}
    content = saved(image, "TIFF" if mode == "CMYK" else "PNG", **options)
    result = transformed(tmp_path, content, "none", form)
    if form == "PDF":
        assert result.startswith(b"%PDF")
        return
    with Image.open(io.BytesIO(content)) as source:
        if source.mode == "I;16":
            seen = np.asarray(source) // 257
            seen = Image.fromarray(seen.astype(np.uint8)).convert("RGBA")
        else:
            seen = source.convert("RGBA")
        paper = Image.new("RGBA", seen.size, "white")
        paper.alpha_composite(seen)
    with Image.open(io.BytesIO(result)) as output:
        if output.mode in ("I", "I;16"):
            shown = Image.fromarray((np.asarray(output) // 257).astype(np.uint8))
        else:
            shown = Image.new("RGBA", output.size, "white")
            shown.alpha_composite(output.convert("RGBA"))
        lossy = form in ("JPEG", "AVIF") or (form == "GIF" and plain in ("RGB", "CMYK"))
        if form == "GIF" and (mode in ("RGBA", "LA", "P-alpha")):
            return  # a pixel is there or not
        assert_similar(pixels(shown.convert("RGB")), pixels(paper.convert("RGB")),
                 "JPEG" if lossy else "")  # fmt: skip


def test_hidden_colours_and_deep_greys_in_pdf(tmp_path):
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    deep = Image.fromarray(np.full((16, 16), 128 * 257, np.uint16))
    for image, expected in ((clear, 255), (deep, 128)):
        result = transformed(tmp_path, saved(image, "PNG"), form="PDF")
        start = result.index(b"\xff\xd8")
        with Image.open(io.BytesIO(result[start:])) as output:
            assert np.abs(pixels(output)[..., :3] - expected).max() <= 1


def test_what_would_be_lost_is_refused(tmp_path):
    animation = saved(
        make_image("P"), "GIF", save_all=True, append_images=[make_image("P", 1)]
    )
    with pytest.raises(ValueError, match="has 2 frames, and a JPEG file contains one"):
        transformed(tmp_path, animation, form="JPEG")
    tiff = saved(make_image("F"), "TIFF")
    with pytest.raises(ValueError, match="32-bit samples, and PNG supports fewer bits"):
        transformed(tmp_path, tiff, form="PNG")
    rows = b"".join(b"\0" + bytes(6 * 4) for _ in range(4))

    def chunk(name, data):
        sums = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + sums

    deep = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    )
    deep += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="has 16 bits per channel"):
        transformed(tmp_path, deep)
    assert transformed(tmp_path, deep, form="JPEG")


def test_views_are_kept_in_mpo_alone(tmp_path):
    views = [make_image("RGB", n) for n in range(2)]
    content = saved(views[0], "MPO", save_all=True, append_images=views[1:],
                    exif=exif(6))  # fmt: skip
    with Image.open(io.BytesIO(transformed(tmp_path, content, "none"))) as output:
        assert (output.format, output.n_frames, output.size) == ("MPO", 2, SHAPE)
    with Image.open(
        io.BytesIO(transformed(tmp_path, content, "none", "PNG"))
    ) as output:
        assert getattr(output, "n_frames", 1) == 1


def test_cmyk_is_converted_to_rgb(tmp_path):
    content = saved(make_image("CMYK"), "TIFF")
    with Image.open(io.BytesIO(transformed(tmp_path, content, form="PNG"))) as output:
        assert output.mode == "RGB"


def test_results_are_reproducible(tmp_path, monkeypatch):
    path, real = tmp_path / "a.png", time.gmtime
    path.write_bytes(saved(make_image("RGB"), "PNG"))
    content = transform_image(str(path), "", "PDF")
    monkeypatch.setattr(time, "gmtime", lambda seconds=0: real(seconds))
    assert transform_image(str(path), "", "PDF") == content
