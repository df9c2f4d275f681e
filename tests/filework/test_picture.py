"""Pictures that are turned keep all else: what their formats hold, by a table."""

import io
import itertools
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin, TiffImagePlugin

from mpiapps.filework.choices import TURNS
from mpiapps.filework.formats import FORMATS
from mpiapps.filework.picture import turned

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:title>t</dc:title></x:xmpmeta>'
UP = {  # how a picture is seen, by its orientation
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.swapaxes(np.rot90(a, 2), 0, 1),
    8: np.rot90,
}
TURNED = {
    "left-right": np.fliplr,
    "top-bottom": np.flipud,
    "90": np.rot90,
    "180": lambda a: np.rot90(a, 2),
    "270": lambda a: np.rot90(a, 3),
    "none": lambda a: a,
}
SHAPE = 32, 48
LOSSY = ("JPEG", "MPO", "AVIF")


def picture(mode, seed=0):
    """Return a picture of ramps, another one in each channel."""
    some = np.random.default_rng(seed)
    depth = {"RGB": 3, "RGBA": 4, "CMYK": 4, "LA": 2}.get(mode, 1)
    y, x = np.indices(SHAPE)[..., None]
    down, across = some.integers(1, 4, (2, 1, 1, depth))
    areas = (down * y + across * x + some.integers(0, 20, depth)).astype(np.uint8)
    if mode == "P":
        image = Image.fromarray(areas[..., 0] // 16)
        image.putpalette(some.integers(0, 256, 48).tolist())
        return image
    if mode == "1":
        return (
            Image.fromarray(areas[..., 0]).point(lambda v: 255 * (v > 128)).convert("1")
        )
    if mode in ("I;16", "I", "F"):
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        return Image.fromarray(areas[..., 0].astype(kind) * 257)
    return Image.frombytes(mode, SHAPE[::-1], areas.tobytes())


def pixels(image):
    deep = image.mode in ("I;16", "I;16B", "I", "F")
    return np.asarray(image if deep else image.convert("RGBA")).astype(float)


def frames(content):
    with Image.open(io.BytesIO(content)) as image:
        found = []
        for n in range(getattr(image, "n_frames", 1)):
            image.seek(n)
            found.append((pixels(ImageOps.exif_transpose(image)), dict(image.info)))
        return found


def flipped(tmp_path, content, by="left-right", form=""):
    path = tmp_path / "source"
    path.write_bytes(content)
    return turned(str(path), TURNS[by], form)


def saved(image, form, **options):
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def see_same(found, expected, form):
    assert found.shape == expected.shape
    most = 30 if form in LOSSY else 0
    assert np.abs(found - expected).mean() <= most / 10
    assert np.percentile(np.abs(found - expected), 99) <= most


SAME = [
    (form, mode)
    for form, kind in FORMATS.items()
    if form not in ("PDF", "MPO")
    for mode in kind.modes
    if mode not in ("RGBX", "YCbCr", "LAB", "PA", "I;16B")
]


@pytest.mark.parametrize(("form", "mode"), SAME)
@pytest.mark.parametrize("by", TURNED)
def test_pixels_are_turned_and_no_others_change(tmp_path, form, mode, by):
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    content = saved(picture(mode), form, **options)
    ((before, _),) = frames(content)
    result = flipped(tmp_path, content, by)
    ((after, _),) = frames(result)
    see_same(after, TURNED[by](before), form)
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
    for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):  # for TIFF
        data[part] = data.get_ifd(part)
    return data


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", UP)
def test_a_photo_is_turned_as_it_is_seen(tmp_path, form, orientation):
    options = {"lossless": True} if form == "WEBP" else {}
    image = picture("RGB")
    content = saved(image, form, exif=exif(orientation), **options)
    for by, to in itertools.product(("90", "none", "top-bottom"), ("", "PNG", "JPEG")):
        result = flipped(tmp_path, content, by, to)
        expected = TURNED[by](UP[orientation](pixels(image)))
        with Image.open(io.BytesIO(result)) as found:
            see_same(pixels(found), expected, "JPEG" if to == "JPEG" else form)
            data = found.getexif()
            assert data.get(ExifTags.Base.Orientation, 1) == 1
            assert data[ExifTags.Base.Make] == "A Camera"
            inner = data.get_ifd(ExifTags.IFD.Exif)
            assert inner[ExifTags.Base.DateTimeOriginal] == "2020:01:02"
            assert inner[40962] == found.width
            assert data.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"


METADATA = {
    "icc_profile": (PROFILE, ("JPEG", "PNG", "TIFF", "WEBP", "AVIF")),
    "dpi": ((300, 100), ("JPEG", "PNG", "TIFF", "BMP")),
    "xmp": (XMP, ("JPEG", "TIFF", "WEBP", "AVIF", "PNG")),
    "comment": (b"a comment", ("JPEG", "GIF", "JPEG2000")),
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_are_kept_in_every_format_that_has_them(tmp_path, name):
    value, forms = METADATA[name]
    for source in forms:
        image = picture("P" if source == "GIF" else "RGB")
        options = {name: value}
        if source == "PNG" and name == "xmp":
            options = {"pnginfo": PngImagePlugin.PngInfo()}
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
        if source == "TIFF" and name == "xmp":
            options = {"tiffinfo": {700: XMP}}
        content = saved(image, source, **options)
        for target, by in itertools.product(forms, ("180", "90")):
            ((_, info),) = frames(flipped(tmp_path, content, by, target))
            wanted = value
            if name == "dpi":
                wanted = pytest.approx(value if by == "180" else value[::-1], abs=0.1)
            assert info[name] == wanted, (source, target)


def test_texts_and_colour_of_png_are_copied(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a picture")
    info.add_text("long", "x" * 5000, zip=True)
    info.add_itxt("Author", "é", lang="fr", tkey="Auteur")
    info.add(b"gAMA", struct.pack(">I", 45455))
    result = flipped(tmp_path, saved(picture("RGB"), "PNG", pnginfo=info))
    with Image.open(io.BytesIO(result)) as found:
        found.load()
        assert found.text["Title"] == "a picture"
        assert found.text["long"] == "x" * 5000
        assert (found.text["Author"], found.text["Author"].lang) == ("é", "fr")
        assert found.info["gamma"] == 0.45455


ANIMATED = [
    (form, mode)
    for form, kind in FORMATS.items()
    if kind.several == "frames"
    for mode in ("P", "L", "RGB", "RGBA")
    if mode in kind.modes
]


@pytest.mark.parametrize(("form", "mode"), ANIMATED)
def test_all_frames_are_kept_with_their_times(tmp_path, form, mode):
    images = [picture(mode, n) for n in range(4)]
    times = [100, 250, 50, 300]
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    loop = {} if form == "AVIF" else {"loop": 3}
    content = saved(images[0], form, save_all=True, append_images=images[1:],
                    duration=times, **options, **loop)  # fmt: skip
    before = frames(content)
    for by in ("left-right", "90"):
        after = frames(flipped(tmp_path, content, by))
        assert len(after) == len(before) == 4
        for (old, old_info), (new, new_info) in zip(before, after, strict=True):
            clear = old[..., 3] == 0
            old[clear] = 0
            new[TURNED[by](clear)] = 0
            see_same(new, TURNED[by](old), form)
            assert new_info["duration"] == old_info["duration"]
        assert after[0][1].get("loop") == before[0][1].get("loop")


def sprite(n, mode):
    """Return a frame of an animation: what moves, on nothing or on a ground."""
    ground = (0, 0, 0, 0) if mode == "RGBA" else (n * 20, 90, 80, 255)
    pixels = np.full((30, 40, 4), ground, np.uint8)
    pixels[5:20, n * 5 : n * 5 + 10] = 50 * n, 255 - 40 * n, 99, 255
    pixels[n * 3 : n * 3 + 8, 20:30] = n * 3, 2, 250 - n * 9, 255
    image = Image.fromarray(pixels)
    return image.convert("RGB").quantize(5 + n) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "P"])
@pytest.mark.parametrize(("form", "disposal"), [
    *(("GIF", n) for n in range(4)), *(("PNG", n) for n in range(3)), ("WEBP", 0),
])  # fmt: skip
def test_animations_look_the_same_however_they_were_put_together(
    tmp_path, form, disposal, mode
):
    images = [sprite(n, mode) for n in range(5)]
    options = {"lossless": True} if form == "WEBP" else {"disposal": disposal}
    content = saved(images[0], form, save_all=True, append_images=images[1:],
                    duration=[40, 50, 60, 70, 80], loop=2, **options)  # fmt: skip
    before, after = frames(content), frames(flipped(tmp_path, content))
    for (old, old_info), (new, new_info) in zip(before, after, strict=True):
        old[old[..., 3] == 0] = new[new[..., 3] == 0] = 0
        assert np.array_equal(new, np.fliplr(old))
        assert new_info["duration"] == old_info["duration"]


def test_the_still_picture_of_an_animation_stays_apart(tmp_path):
    images = [sprite(n, "RGB") for n in range(3)]
    content = saved(images[0], "PNG", save_all=True, append_images=images[1:],
                    default_image=True, duration=[10, 20])  # fmt: skip
    _, info = zip(*frames(flipped(tmp_path, content)), strict=True)
    assert info[0]["default_image"]
    assert [each["duration"] for each in info[1:]] == [10, 20]


def test_pages_keep_their_own_size_mode_and_tags(tmp_path):
    pages = [picture("RGB"), picture("1").rotate(90, expand=True), picture("I;16")]
    content = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(content) as writer:
        for n, page in enumerate(pages):
            compression = ["tiff_lzw", "group4", "tiff_adobe_deflate"][n]
            tags = {270: f"page {n}", 65000: 7 + n, 296: 3, 282: 40.0, 283: 20.0}
            page.save(writer, "TIFF", compression=compression, tiffinfo=tags)
            writer.newFrame()
    result = flipped(tmp_path, content.getvalue(), "90")
    with Image.open(io.BytesIO(result)) as found:
        assert found.n_frames == 3
        for n, page in enumerate(pages):
            found.seek(n)
            assert np.array_equal(np.asarray(found), np.rot90(np.asarray(page)))
            assert (found.mode, found.tag_v2[270]) == (page.mode, f"page {n}")
            assert found.tag_v2[65000] == 7 + n
            assert [found.tag_v2[tag] for tag in (296, 282, 283)] == [3, 20, 40]
            assert found.info["compression"] == [
                "tiff_lzw", "group4", "tiff_adobe_deflate"][n]  # fmt: skip
    pdf = flipped(tmp_path, content.getvalue(), "90", "PDF")
    assert pdf.count(b"/Type /Page\n") == 3


def test_captions_of_photographers_are_copied(tmp_path):
    part = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x08\x1c\x02\x19\0\x03sea"
    extra = struct.pack(">HH", 0xFFED, len(part) + 2) + part
    content = saved(picture("RGB"), "JPEG", extra=extra)
    with Image.open(io.BytesIO(flipped(tmp_path, content))) as found:
        assert ("APP13", part) in found.applist


def test_jpeg_keeps_its_quality(tmp_path):
    for options in (
        {"quality": 30}, {"quality": 98, "subsampling": 0},
        {"quality": 85, "subsampling": 1}, {"quality": 85, "progressive": True},
    ):  # fmt: skip
        content = saved(picture("RGB"), "JPEG", **options)
        for by in ("left-right", "90"):
            result = flipped(tmp_path, content, by)
            with (
                Image.open(io.BytesIO(content)) as old,
                Image.open(io.BytesIO(result)) as new,
            ):
                for n, table in old.quantization.items():
                    grid = np.reshape(table, (8, 8))
                    expected = grid if by == "left-right" else grid.T
                    assert np.array_equal(
                        np.reshape(new.quantization[n], (8, 8)), expected
                    )
                assert new.info.get("progressive") == old.info.get("progressive")
        if options["quality"] != 30:
            again = flipped(tmp_path, flipped(tmp_path, content))
            ((a, _),), ((b, _),) = frames(content), frames(again)
            assert np.abs(a - b).mean() < 0.5


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_stays_lossless_or_lossy(tmp_path, lossless):
    content = saved(picture("RGB"), "WEBP", lossless=lossless)
    result = flipped(tmp_path, content)
    assert (b"VP8L" in result[:64]) == lossless
    png = saved(picture("RGB"), "PNG")
    assert b"VP8L" in flipped(tmp_path, png, form="WEBP")[:64]


CONVERTED = [
    (mode, form)
    for mode in ("1", "L", "LA", "P", "P-clear", "P-degrees", "L-key", "RGB", "RGBA",
                 "RGB-key", "I;16", "CMYK")
    for form in FORMATS if form != "MPO"
]  # fmt: skip


@pytest.mark.parametrize(("mode", "form"), CONVERTED)
def test_every_mode_goes_into_every_format_as_it_is_seen(tmp_path, mode, form):
    plain, _, key = mode.partition("-")
    image = picture(plain)
    keys = {"clear": 2, "degrees": bytes([0, 90, 255]), "": None}
    keys["key"] = image.getpixel((0, 0))
    options = {} if keys[key] is None else {"transparency": keys[key]}
    content = saved(image, "TIFF" if mode == "CMYK" else "PNG", **options)
    result = flipped(tmp_path, content, "none", form)
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
    with Image.open(io.BytesIO(result)) as found:
        if found.mode in ("I", "I;16"):
            shown = Image.fromarray((np.asarray(found) // 257).astype(np.uint8))
        else:
            shown = Image.new("RGBA", found.size, "white")
            shown.alpha_composite(found.convert("RGBA"))
        lossy = form in ("JPEG", "AVIF") or (form == "GIF" and plain in ("RGB", "CMYK"))
        if form == "GIF" and (mode in ("RGBA", "LA", "P-degrees")):
            return  # a pixel is there or not
        see_same(pixels(shown.convert("RGB")), pixels(paper.convert("RGB")),
                 "JPEG" if lossy else "")  # fmt: skip


def test_hidden_colours_and_deep_greys_in_pdf(tmp_path):
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    deep = Image.fromarray(np.full((16, 16), 128 * 257, np.uint16))
    for image, expected in ((clear, 255), (deep, 128)):
        result = flipped(tmp_path, saved(image, "PNG"), form="PDF")
        start = result.index(b"\xff\xd8")
        with Image.open(io.BytesIO(result[start:])) as found:
            assert np.abs(pixels(found)[..., :3] - expected).max() <= 1


def test_what_would_be_lost_is_refused(tmp_path):
    animation = saved(
        picture("P"), "GIF", save_all=True, append_images=[picture("P", 1)]
    )
    with pytest.raises(ValueError, match="has 2 frames, and a file of JPEG holds one"):
        flipped(tmp_path, animation, form="JPEG")
    tiff = saved(picture("F"), "TIFF")
    with pytest.raises(ValueError, match="samples of 32 bits, and PNG holds fewer"):
        flipped(tmp_path, tiff, form="PNG")
    rows = b"".join(b"\0" + bytes(6 * 4) for _ in range(4))

    def chunk(name, data):
        sums = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + sums

    deep = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    )
    deep += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="has 16 bits for each colour"):
        flipped(tmp_path, deep)
    assert flipped(tmp_path, deep, form="JPEG")


def test_photos_with_views_keep_them_and_become_one_photo(tmp_path):
    views = [picture("RGB", n) for n in range(2)]
    content = saved(views[0], "MPO", save_all=True, append_images=views[1:],
                    exif=exif(6))  # fmt: skip
    with Image.open(io.BytesIO(flipped(tmp_path, content, "none"))) as found:
        assert (found.format, found.n_frames, found.size) == ("MPO", 2, SHAPE)
    with Image.open(io.BytesIO(flipped(tmp_path, content, "none", "PNG"))) as found:
        assert getattr(found, "n_frames", 1) == 1


def test_colours_of_print_are_converted_by_their_profile(tmp_path):
    content = saved(picture("CMYK"), "TIFF")
    with Image.open(io.BytesIO(flipped(tmp_path, content, form="PNG"))) as found:
        assert found.mode == "RGB"


def test_equal_pictures_make_equal_files(tmp_path, monkeypatch):
    path, real = tmp_path / "a.png", time.gmtime
    path.write_bytes(saved(picture("RGB"), "PNG"))
    made = turned(str(path), "", "PDF")
    monkeypatch.setattr(time, "gmtime", lambda seconds=0: real(seconds))
    assert turned(str(path), "", "PDF") == made
