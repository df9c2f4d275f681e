"""Images are resized as they are displayed, with all pages and frames."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image

from mpiapps.fileops.choices import parse_factor, parse_size
from mpiapps.fileops.image_resize import Resize
from mpiapps.fileops.image_transform import transform_image
from tests.fileops.images import make_image, saved
from tests.fileops.runs import run_files


def resized(tmp_path, content, target="", **options):
    path = tmp_path / "source"
    path.write_bytes(content)
    return io.BytesIO(transform_image(str(path), "", target, Resize(**options)))


@pytest.mark.parametrize(
    ("box", "factor", "size"),
    [
        ((24, 24), 1, (24, 16)),
        ((24, 0), 1, (24, 16)),
        ((0, 64), 1, (96, 64)),
        ((1, 1000), 1, (1, 1)),
        (None, 0.5, (24, 16)),
        (None, 0.001, (1, 1)),
        (None, 2.25, (108, 72)),
    ],
)
def test_width_and_height_are_scaled_alike(box, factor, size):
    assert Resize(box, factor).size((48, 32)) == size


def test_sizes_and_factors_in_options():
    assert [parse_size(t) for t in ("800x600", "8x", "x6")] == [
        (800, 600),
        (8, 0),
        (0, 6),
    ]
    for text in ("", "x", "8", "0x5", "0x", "-3x4", "8x70000", "8x6x4", "ax5", "1e3x5"):
        with pytest.raises(ValueError, match="is not a size in pixels"):
            parse_size(text)
    assert parse_factor("0.5") == 0.5
    for text in ("0", "-1", "nan", "inf", "1000", "half"):
        with pytest.raises(ValueError, match="is not a factor above 0"):
            parse_factor(text)


def test_the_size_is_that_of_the_displayed_image(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # 32 wide and 48 high as displayed
    exif[ExifTags.Base.Make] = "A Camera"
    exif.get_ifd(ExifTags.IFD.Exif)[40962] = 48
    exif[ExifTags.IFD.Exif] = exif.get_ifd(ExifTags.IFD.Exif)
    content = saved(make_image("RGB"), "JPEG", exif=exif, dpi=(300, 300))
    with Image.open(resized(tmp_path, content, box=(16, 0))) as image:
        assert (image.format, image.size) == ("JPEG", (16, 24))
        data = image.getexif()
        assert ExifTags.Base.Orientation not in data
        assert data[ExifTags.Base.Make] == "A Camera"
        assert data.get_ifd(ExifTags.IFD.Exif)[40962] == 16
        assert image.info["dpi"] == (300, 300)


def test_each_page_is_resized(tmp_path):
    pages = [
        make_image("RGB"),
        make_image("L").crop((0, 0, 20, 20)),
        make_image("I;16"),
    ]
    content = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    for options, sizes in (
        ({"factor": 0.5}, [(24, 16), (10, 10), (24, 16)]),
        ({"box": (10, 10)}, [(10, 7), (10, 10), (10, 7)]),
    ):
        with Image.open(resized(tmp_path, content, **options)) as image:
            assert image.n_frames == 3
            found = []
            for n in range(3):
                image.seek(n)
                found.append((image.size, image.mode))
        assert found == list(zip(sizes, ["RGB", "L", "I;16"], strict=True))


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_animations_keep_their_frames_and_times(tmp_path, form):
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    images = [Image.new("RGB", (48, 32), colour) for colour in colours]
    options = {"lossless": True} if form == "WEBP" else {}
    content = saved(
        images[0], form, save_all=True, append_images=images[1:],
        duration=[100, 200, 300], loop=0, **options,
    )  # fmt: skip
    with Image.open(resized(tmp_path, content, factor=0.5)) as image:
        assert (image.n_frames, image.size) == (3, (24, 16))
        for n, colour in enumerate(colours):
            image.seek(n)
            image.load()
            assert image.info["duration"] == 100 * (n + 1)
            assert image.convert("RGB").getpixel((12, 8)) == colour


@pytest.mark.parametrize("mode", ["1", "P", "L", "LA", "RGBA", "CMYK", "I;16", "F"])
def test_pixels_are_averages_in_every_mode(tmp_path, mode):
    """Stripes of one pixel become their mean, also of palettes and of bits."""
    stripes = np.tile(np.array([0, 255], np.uint8), (32, 24))
    deep = {"I;16": np.uint16, "F": np.float32}.get(mode)
    if deep:
        image = Image.fromarray(stripes.astype(deep))
    elif mode == "CMYK":
        image = Image.merge("CMYK", [Image.fromarray(stripes)] * 4)
    else:
        image = Image.fromarray(stripes).convert("RGB" if mode == "P" else mode)
        image = image.quantize(2) if mode == "P" else image
    with Image.open(resized(tmp_path, saved(image, "TIFF"), factor=0.25)) as result:
        middle = np.asarray(result).reshape(8, 12, -1)[2:-2, 2:-2, 0]
        assert np.abs(middle.astype(float) - 127.5).max() < 8
        assert result.mode == {"1": "L", "P": "RGB"}.get(mode, mode)


def test_transparent_pixels_do_not_darken_their_neighbours(tmp_path):
    image = Image.new("P", (40, 40), 0)
    image.putpalette([0, 0, 0, 250, 250, 250])
    image.paste(1, (0, 0, 21, 40))
    content = saved(image, "PNG", transparency=0)
    with Image.open(resized(tmp_path, content, factor=0.5)) as result:
        pixels = np.asarray(result.convert("RGBA"))
        shown = pixels[pixels[..., 3] > 0]
        assert set(pixels[..., 3].ravel().tolist()) > {0, 255}
        assert shown[:, :3].min() >= 249


@pytest.mark.mpi
@pytest.mark.one_mpi
def test_a_directory_of_images(world, place, on_root):
    def write():
        (place / "deep").mkdir()
        for name in ("a.png", "b.jpg", "deep/c.png"):
            make_image("RGB").save(place / name)
        (place / "bad.png").write_bytes(b"no image")

    on_root(write)
    target = place.parent / "small"
    asked = {"output_dir": str(target), "directory": str(place.parent / "journals")}
    inodes = []
    for _ in range(2):
        result = run_files(world, "resize", place, size=(12, 12), **asked)
        if world.is_root:
            assert (result.values["files"], result.values["failed"]) == (3, 1)
            assert "bad.png" in result.notes[0]
            for name in ("a.png", "b.jpg", "deep/c.png"):
                with Image.open(target / name) as image:
                    assert image.size == (12, 8)
            inodes.append((target / "a.png").stat().st_ino)
            if len(inodes) == 1:
                (target / "b.jpg").unlink()  # written again by the second run
        world.comm.Barrier()
    if world.is_root:
        assert inodes[0] == inodes[1]
        assert (target / "b.jpg").exists()
