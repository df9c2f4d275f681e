"""Pages of TIFF keep their compression where it holds the pixels of the result."""

import io

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from mpiapps.fileops.image_formats import FORMATS
from mpiapps.fileops.image_resize import Resize
from mpiapps.fileops.image_tiff import write_tiff
from mpiapps.fileops.image_transform import transform_image
from tests.fileops.images import make_image, saved

CHANGED = {"1": "L", "P": "RGB", "PA": "RGBA"}  # modes of resized images
LOSSLESS = "tiff_adobe_deflate"
BILEVEL = ("tiff_ccitt", "group3", "group4")
COMPRESSIONS = (
    *BILEVEL, "jpeg", "webp",
    *("raw", "tiff_lzw", LOSSLESS, "packbits", "lzma", "zstd"),
)  # fmt: skip


def saved_page(mode, compression):
    """Return a TIFF file of a mode; empty if the compression does not hold it."""
    try:
        page = make_image(mode)
    except ValueError:
        page = Image.new(mode, (48, 32))
    try:
        return saved(page, "TIFF", compression=compression)
    except OSError:
        return b""


def pages_of(content):
    """Return mode, size and compression of each page, after it was decoded."""
    with Image.open(io.BytesIO(content)) as image:
        result = []
        for n in range(image.n_frames):
            image.seek(n)
            image.load()
            result.append((image.mode, image.size, image.info["compression"]))
        return result


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_results_have_a_compression_that_holds_their_mode(tmp_path, compression):
    path = tmp_path / "a.tiff"
    for mode in FORMATS["TIFF"].modes:
        path.write_bytes(saved_page(mode, compression))
        if not path.stat().st_size:
            continue
        source = pages_of(path.read_bytes())
        assert pages_of(transform_image(str(path), "ROTATE_180")) == source
        half = transform_image(str(path), "", "TIFF", Resize(factor=0.5))
        held = LOSSLESS if compression in BILEVEL else compression
        assert pages_of(half) == [
            (CHANGED.get(read, read), (24, 16), held) for read, _, _ in source
        ]


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "PDF"])
def test_images_of_all_formats_become_tiff(tmp_path, form):
    path = tmp_path / "a"
    for mode in FORMATS[form].modes:
        if mode not in ("RGBX", "YCbCr", "LAB", "PA", "I;16B"):
            path.write_bytes(saved(make_image(mode), form))
            for factor in (1, 0.5):
                content = transform_image(str(path), "", "TIFF", Resize(factor=factor))
                ((_, size, _),) = pages_of(content)
                assert size == (48 * factor, 32 * factor)


def test_each_page_has_its_own_compression(tmp_path):
    pages = [("1", "group4"), ("RGB", "jpeg"), ("1", "group3"), ("P", "tiff_lzw"),
             ("I;16", "zstd"), ("1", "packbits")]  # fmt: skip
    content = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(content) as writer:
        for mode, compression in pages:
            make_image(mode).save(writer, "TIFF", compression=compression)
            writer.newFrame()
    path = tmp_path / "a.tiff"
    path.write_bytes(content.getvalue())
    assert pages_of(transform_image(str(path), "ROTATE_180")) == [
        (mode, (48, 32), compression) for mode, compression in pages
    ]
    half = pages_of(transform_image(str(path), "", "TIFF", Resize(factor=0.5)))
    assert [(mode, compression) for mode, _, compression in half] == [
        ("L", LOSSLESS), ("RGB", "jpeg"), ("L", LOSSLESS), ("RGB", "tiff_lzw"),
        ("I;16", "zstd"), ("L", "packbits"),
    ]  # fmt: skip


@pytest.mark.parametrize("compression", ["tiff_sgilog", "tiff_thunderscan", "jpeg"])
def test_a_compression_that_cannot_be_written_is_replaced(compression):
    page = make_image("I;16")
    page.info |= {"compression": compression, "exif": Image.Exif()}
    write_tiff(content := io.BytesIO(), [page], {})
    assert pages_of(content.getvalue()) == [("I;16", (48, 32), LOSSLESS)]
    with Image.open(content) as image:
        assert np.array_equal(np.asarray(image), np.asarray(page))
