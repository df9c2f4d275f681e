"""Images that the program transforms, on any number of ranks."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mpiapps.base.errors import InputError
from tests.fileops.runs import run_files

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]


def test_images_are_transformed_or_fail(world, place, on_root):
    from PIL import Image

    def write():
        (place / "in" / "deep").mkdir(parents=True)
        image = Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3))
        image.save(place / "in" / "one.png")
        image.convert("RGBA").save(place / "in" / "deep" / "two.png")
        (place / "in" / "bad.png").write_bytes(b"not an image")

    on_root(write)
    result = run_files(
        world, "flip", place / "in", output_dir=str(place / "out"), transform="90"
    )
    pdf = run_files(
        world, "flip", place / "in", output_dir=str(place / "pdf"), format="pdf"
    )
    assert result.exit_code == pdf.exit_code == 3
    if world.is_root:
        transformed = np.asarray(Image.open(place / "out" / "one.png"))
        wanted = np.rot90(np.arange(60, dtype=np.uint8).reshape(4, 5, 3))
        assert np.array_equal(transformed, wanted)
        results = sorted(p for p in (place / "pdf").rglob("*") if p.is_file())
        assert [str(p.relative_to(place / "pdf")) for p in results] == [
            "deep/two.pdf",
            "one.pdf",
        ]
        assert all(p.read_bytes().startswith(b"%PDF") for p in results)
        assert "bad.png: UnidentifiedImageError" in result.notes[0]
    with pytest.raises(InputError, match=r"would both be written to"):
        two = [place / "in" / "one.png", place / "in" / "one.gif"]
        on_root(lambda: two[1].write_bytes(b""))
        run_files(world, "flip", *two, output_dir=str(place / "out"), format="pdf")


@pytest.fixture
def photos(place, on_root, monkeypatch):
    """Create a directory of images in the working directory; return its files."""
    from PIL import Image

    names = [f"photos/{name}.png" for name in ("one", "two", "deep/three")]

    def write():
        (place / "photos" / "deep").mkdir(parents=True)
        for name in names:
            Image.new("RGB", (2, 3)).save(place / name)

    on_root(write)
    monkeypatch.chdir(place)
    return names


def test_results_do_not_overwrite_originals_and_are_not_transformed(
    world, place, photos, on_root
):
    before = [Path(name).read_bytes() for name in photos]
    on_root(lambda: Path("link").symlink_to("photos"))
    on_root(lambda: Path("list").write_text("photos/one.png\n"))
    for paths, output_dir in (
        (["photos"], "photos"),
        (["photos/deep"], "photos"),
        (["photos"], "link"),
        (["link"], str(place / "photos")),
        (["photos/*.png"], "photos"),
        (["photos/**/*.png"], "."),
        (["other", "photos/one.png"], "photos"),
    ):
        with pytest.raises(InputError, match="name a directory without originals"):
            run_files(world, "flip", *paths, output_dir=output_dir, transform="90")
    with pytest.raises(InputError, match=r"photos/one.png lies in the directory"):
        run_files(world, "flip", list=("list",), output_dir="photos")
    for output_dir in ("photos/turned", "link/deep/turned"):
        for path in ("photos", "photos/**/*.png", "photos/*", "link/../photos"):
            result = run_files(
                world, "flip", path, output_dir=output_dir, transform="90"
            )
            assert (result.values["files"], result.exit_code) == (3, 0), path
        on_root(shutil.rmtree, output_dir)
    assert [Path(name).read_bytes() for name in photos] == before


@pytest.mark.usefixtures("photos")
def test_deleted_results_are_written_again(world, on_root):
    for _ in range(2):
        run_files(
            world, "flip", "photos", output_dir="out", directory="kept", format="pdf"
        )
        on_root(Path("out/one.pdf").unlink)  # it is there
    written = Path("out/two.pdf").stat().st_mtime_ns
    run_files(world, "flip", "photos", output_dir="out", directory="kept", format="pdf")
    assert Path("out/one.pdf").exists()
    assert Path("out/two.pdf").stat().st_mtime_ns == written
