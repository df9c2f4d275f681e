"""Frames and pages of images are all kept when they are transformed."""

import io

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from mpiapps.fileops.image_formats import FORMATS
from tests.fileops.images import (
    TRANSFORMS,
    assert_similar,
    frames,
    make_image,
    saved,
    transformed,
)

ANIMATED = [
    (form, mode)
    for form, kind in FORMATS.items()
    if kind.multiple == "frames"
    for mode in ("P", "L", "RGB", "RGBA")
    if mode in kind.modes
]


@pytest.mark.parametrize(("form", "mode"), ANIMATED)
def test_all_frames_are_kept_with_their_times(tmp_path, form, mode):
    images = [make_image(mode, n) for n in range(4)]
    times = [100, 250, 50, 300]
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    loop = {} if form == "AVIF" else {"loop": 3}
    content = saved(images[0], form, save_all=True, append_images=images[1:],
                    duration=times, **options, **loop)  # fmt: skip
    before = frames(content)
    for transform in ("left-right", "90"):
        after = frames(transformed(tmp_path, content, transform))
        assert len(after) == len(before) == 4
        for (old, old_info), (new, new_info) in zip(before, after, strict=True):
            clear = old[..., 3] == 0
            old[clear] = 0
            new[TRANSFORMS[transform](clear)] = 0
            assert_similar(new, TRANSFORMS[transform](old), form)
            assert new_info["duration"] == old_info["duration"]
        assert after[0][1].get("loop") == before[0][1].get("loop")


def sprite(n, mode):
    """Return a frame of an animation, on a transparent or an opaque background."""
    background = (0, 0, 0, 0) if mode == "RGBA" else (n * 20, 90, 80, 255)
    pixels = np.full((30, 40, 4), background, np.uint8)
    pixels[5:20, n * 5 : n * 5 + 10] = 50 * n, 255 - 40 * n, 99, 255
    pixels[n * 3 : n * 3 + 8, 20:30] = n * 3, 2, 250 - n * 9, 255
    image = Image.fromarray(pixels)
    return image.convert("RGB").quantize(5 + n) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "P"])
@pytest.mark.parametrize(("form", "disposal"), [
    *(("GIF", n) for n in range(4)), *(("PNG", n) for n in range(3)), ("WEBP", 0),
])  # fmt: skip
def test_animations_look_the_same_with_any_disposal(tmp_path, form, disposal, mode):
    images = [sprite(n, mode) for n in range(5)]
    options = {"lossless": True} if form == "WEBP" else {"disposal": disposal}
    content = saved(images[0], form, save_all=True, append_images=images[1:],
                    duration=[40, 50, 60, 70, 80], loop=2, **options)  # fmt: skip
    before, after = frames(content), frames(transformed(tmp_path, content))
    for (old, old_info), (new, new_info) in zip(before, after, strict=True):
        old[old[..., 3] == 0] = new[new[..., 3] == 0] = 0
        assert np.array_equal(new, np.fliplr(old))
        assert new_info["duration"] == old_info["duration"]


def test_the_default_image_of_an_animation_is_kept(tmp_path):
    images = [sprite(n, "RGB") for n in range(3)]
    content = saved(images[0], "PNG", save_all=True, append_images=images[1:],
                    default_image=True, duration=[10, 20])  # fmt: skip
    _, info = zip(*frames(transformed(tmp_path, content)), strict=True)
    assert info[0]["default_image"]
    assert [frame["duration"] for frame in info[1:]] == [10, 20]


def test_pages_keep_their_own_size_mode_and_tags(tmp_path):
    pages = [
        make_image("RGB"),
        make_image("1").rotate(90, expand=True),
        make_image("I;16"),
    ]
    content = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(content) as writer:
        for n, page in enumerate(pages):
            compression = ["tiff_lzw", "group4", "tiff_adobe_deflate"][n]
            tags = {270: f"page {n}", 65000: 7 + n, 296: 3, 282: 40.0, 283: 20.0}
            page.save(writer, "TIFF", compression=compression, tiffinfo=tags)
            writer.newFrame()
    result = transformed(tmp_path, content.getvalue(), "90")
    with Image.open(io.BytesIO(result)) as output:
        assert output.n_frames == 3
        for n, page in enumerate(pages):
            output.seek(n)
            assert np.array_equal(np.asarray(output), np.rot90(np.asarray(page)))
            assert (output.mode, output.tag_v2[270]) == (page.mode, f"page {n}")
            assert output.tag_v2[65000] == 7 + n
            assert [output.tag_v2[tag] for tag in (296, 282, 283)] == [3, 20, 40]
            assert output.info["compression"] == [
                "tiff_lzw", "group4", "tiff_adobe_deflate"][n]  # fmt: skip
    pdf = transformed(tmp_path, content.getvalue(), "90", "PDF")
    assert pdf.count(b"/Type /Page\n") == 3


FRAMES = [form for form, kind in FORMATS.items() if kind.multiple == "frames"]
TIMES = [100, 255, 47, 10, 1000]  # ms


@pytest.mark.parametrize("source", FRAMES)
@pytest.mark.parametrize("target", FRAMES)
def test_animations_in_another_format_have_the_same_frames_and_times(
    tmp_path, source, target
):
    images = [sprite(n, "RGB") for n in range(len(TIMES))]
    content = saved(images[0], source, save_all=True, append_images=images[1:],
                    duration=TIMES)  # fmt: skip
    before = [info["duration"] for _, info in frames(content)]
    after = [
        info["duration"]
        for _, info in frames(transformed(tmp_path, content, form=target))
    ]
    unit = 10 if target == "GIF" else 1
    assert len(after) == len(before) == len(TIMES)
    assert after == [round(time / unit) * unit for time in before]


@pytest.mark.parametrize("target", FRAMES)
def test_times_of_fractions_of_a_millisecond(tmp_path, target):
    images = [sprite(n, "RGB") for n in range(3)]
    content = saved(images[0], "PNG", save_all=True, append_images=images[1:],
                    duration=[1000 / 30, 1000 / 60, 0.25])  # fmt: skip
    info = [info for _, info in frames(transformed(tmp_path, content, form=target))]
    assert [frame["duration"] for frame in info] == {
        "AVIF": [33, 17, 1],
        "GIF": [30, 20, 10],
        "WEBP": [33, 17, 0],
        "PNG": pytest.approx([1000 / 30, 1000 / 60, 0.25], abs=0.01),
    }[target]


@pytest.mark.parametrize("target", [*FRAMES, "TIFF"])
def test_a_default_image_is_a_page_and_no_frame(tmp_path, target):
    images = [sprite(n, "RGB") for n in range(3)]
    content = saved(images[0], "PNG", save_all=True, append_images=images[1:],
                    default_image=True, duration=[10, 20])  # fmt: skip
    info = [info for _, info in frames(transformed(tmp_path, content, form=target))]
    assert len(info) == (3 if target in ("PNG", "TIFF") else 2)
    if target != "TIFF":
        assert [frame["duration"] for frame in info[-2:]] == [10, 20]
