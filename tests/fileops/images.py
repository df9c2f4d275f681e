"""Images of every mode and format, for tests of their transforms."""

import io

import numpy as np
from PIL import Image, ImageCms, ImageOps

from mpiapps.fileops.choices import TRANSPOSITIONS
from mpiapps.fileops.image_transform import transform_image

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:title>t</dc:title></x:xmpmeta>'
TRANSFORMS = {
    "left-right": np.fliplr,
    "top-bottom": np.flipud,
    "90": np.rot90,
    "180": lambda a: np.rot90(a, 2),
    "270": lambda a: np.rot90(a, 3),
    "none": lambda a: a,
}
SHAPE = 32, 48
LOSSY = ("JPEG", "MPO", "AVIF")


def make_image(mode, seed=0):
    """Return an image of ramps, different in each channel."""
    rng = np.random.default_rng(seed)
    depth = {"RGB": 3, "RGBA": 4, "CMYK": 4, "LA": 2}.get(mode, 1)
    y, x = np.indices(SHAPE)[..., None]
    down, across = rng.integers(1, 4, (2, 1, 1, depth))
    areas = (down * y + across * x + rng.integers(0, 20, depth)).astype(np.uint8)
    if mode == "P":
        image = Image.fromarray(areas[..., 0] // 16)
        image.putpalette(rng.integers(0, 256, 48).tolist())
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
        result = []
        for n in range(getattr(image, "n_frames", 1)):
            image.seek(n)
            result.append((pixels(ImageOps.exif_transpose(image)), dict(image.info)))
        return result


def transformed(tmp_path, content, transform="left-right", form=""):
    path = tmp_path / "source"
    path.write_bytes(content)
    return transform_image(str(path), TRANSPOSITIONS[transform], form)


def saved(image, form, **options):
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def assert_similar(actual, expected, form):
    assert actual.shape == expected.shape
    tolerance = 30 if form in LOSSY else 0
    assert np.abs(actual - expected).mean() <= tolerance / 10
    assert np.percentile(np.abs(actual - expected), 99) <= tolerance
