"""What a run writes is not among its inputs, and replaces none of them."""

import os
from contextlib import contextmanager
from pathlib import Path

import pytest

from mpiapps import files
from mpiapps.app.context import RunContext
from mpiapps.app.result_files import check_files
from mpiapps.app.runner import CommonOptions
from mpiapps.base.errors import InputError, UsageError
from mpiapps.fileops.options import Options
from mpiapps.fileops.own_files import OwnFiles
from mpiapps.storage.atomic_file import AtomicFile

mpi = pytest.mark.mpi


def run(world, operation, *paths, outputs=None, checkpoint="", **options):
    """Run the program with files of the options of all programs."""
    ctx = RunContext.make(world, outputs=outputs, checkpoint=checkpoint)
    result = files.run(ctx, Options(operation, paths, **options))
    world.comm.Barrier()
    return result


def names_in(directory):
    return sorted(path.name for path in Path(directory).iterdir())


@contextmanager
def opened(world, path):
    """Keep the temporary file of a result, as the runner does during the run."""
    file = AtomicFile(Path(path)) if world.is_root else None
    world.comm.Barrier()
    yield
    world.comm.Barrier()
    if file is not None:
        file.commit("{}")


@pytest.fixture
def texts(place, on_root, monkeypatch):
    """Enter a directory with a directory of two texts, and a link to it."""

    def write():
        (place / "texts" / "deep").mkdir(parents=True)
        for name in ("a", "deep/b"):
            (place / "texts" / name).write_text("one line\n")
        (place / "link").symlink_to("texts")

    on_root(write)
    monkeypatch.chdir(place)


@mpi
@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize("path", ["texts", "link", "texts/**", "./texts/../texts/**/*"])
def test_results_in_an_input_directory_are_no_inputs(world, on_root, path):
    on_root(lambda: Path("texts/to-json").symlink_to("deep/j"))
    on_root(Path("texts/deep/j").touch)
    for _ in range(2):  # the second run finds the results of the first one
        with opened(world, "texts/deep/j"), opened(world, "texts/c"):
            outputs = {"--json": "link/deep/j", "--csv": "texts/c"}
            result = run(world, "hash", path, output="texts/sums", outputs=outputs)
        assert (result.values["files"], result.exit_code) == (2, 0)
        if world.is_root:
            lines = Path("texts/sums").read_text().splitlines()
            names = [os.path.realpath(line.split("  ")[1]) for line in lines]
            assert names == [os.path.realpath(f"texts/{n}") for n in ("a", "deep/b")]
    other = run(world, "count", path)  # those of other runs are files as any other
    assert other.values["files"] == 6


@mpi
@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize("directory", ["texts/kept", "texts", "link/deep"])
@pytest.mark.parametrize("operation", ["count", "describe"])
def test_the_run_directory_is_no_input(world, on_root, directory, operation):
    on_root(lambda: Path("texts/deep/bad.gz").write_text("not compressed"))
    results = [
        run(world, operation, "texts/**", directory=directory, header="no")
        for _ in range(2)
    ]
    if world.is_root:
        assert Path(directory, "failed.txt").read_text() == "texts/deep/bad.gz\0"
        assert [results[0].values["files"], results[0].values["failed"]] == [2, 1]
        assert results[0].values == results[1].values


@mpi
@pytest.mark.usefixtures("texts")
def test_a_checkpoint_is_no_input(world, on_root):
    on_root(lambda: Path("texts/saved.data0.tasks").mkdir())
    on_root(lambda: Path("texts/saved.data0.tasks/journal.0.abc").touch())
    on_root(Path("texts/saved").touch)
    result = run(world, "count", "texts", checkpoint="texts/saved")
    assert result.values["files"] == 2
    with pytest.raises(UsageError, match="--checkpoint texts/saved: it would replace"):
        run(world, "count", "texts", "texts/saved", checkpoint="texts/saved")


@mpi
@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize(
    ("paths", "option"),
    [
        (["texts/a"], "--output"),
        (["texts", "./link/a"], "--json"),
        (["other", "link/to-a"], "--csv"),
        (["list"], "--output"),
        (["manifest"], "--output"),
        (["texts/../texts/deep/../a"], "--output"),
    ],
)
def test_a_result_that_is_named_as_an_input_is_refused(world, on_root, paths, option):
    def write():
        Path("texts/to-a").symlink_to("a")
        Path("list").write_text("texts/a\n")
        Path("manifest").write_text(f"{'0' * 64}  ./link/a\n")

    on_root(write)
    where = {"list": {"list": ("list",)}, "manifest": {"check": "manifest"}}
    named = where.get(paths[0], {})
    operation = "hash" if "check" in named else "count"
    for result in ("texts/a", "link/a", "texts/to-a"):
        own = {"output": result} if option == "--output" else {}
        message = f"{option} {result}: it would replace .*, which this run reads; name"
        with pytest.raises(UsageError, match=message):
            run(world, operation, *([] if named else paths),
                outputs={option: result}, **own, **named)  # fmt: skip
    if world.is_root:
        assert Path("texts/a").read_text() == "one line\n"
        assert names_in("texts") == ["a", "deep", "to-a"]
    world.comm.Barrier()


@mpi
@pytest.mark.usefixtures("texts")
def test_an_invalid_input_leaves_no_temporary_file(world):
    with pytest.raises(InputError, match="matches no file"):
        run(world, "count", "none*", output="out")
    assert names_in(".") == ["link", "texts"]


def test_files_that_are_similar_to_own_ones_are_inputs(tmp_path):
    (tmp_path / "runs").mkdir()
    own = OwnFiles({"-o": str(tmp_path / "out")}, str(tmp_path / "runs"), [""])
    outside = ("out.txt", ".out.part", "owner", "journal.0.ab", "failed.txt")
    inside = ("runs/ownership", "runs/a/journal.txt", "runs/a/failed.txt",
              "runs/a/owner", "runs/quotes/a/journal.0.ab")  # fmt: skip
    for name in (*outside, *inside):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
        assert not own.label(str(path), path.stat()), name


@pytest.mark.parametrize(
    ("options", "common", "message"),
    [
        ({"output": "r"}, {"json": "r"}, "--output and --json both name r; choose"),
        ({"output": "r"}, {"csv": "./x/../r"}, "--output and --csv both name"),
        ({}, {"csv": "to-r", "json": "r"}, "--json and --csv both name to-r"),
        ({"output": "-"}, {"json": "-"}, "--output and --json both name -"),
        ({"output": "r"}, {"checkpoint": "r"}, "--output and --checkpoint both name"),
        ({"list": ("-", "r")}, {"json": "to-r"}, "--json to-r: it would replace --l"),
        ({"check": "r", "output": "r"}, {}, "--output r: it would replace --check r,"),
        ({"list": ("-",), "output": "-"}, {}, ""),
        ({"list": ("nothing",), "output": "nothing"}, {}, ""),
        ({"output": "x" * 300}, {"json": "r"}, ""),
        ({"output": "/dev/null"}, {"json": "/dev/null", "csv": "r"}, ""),
    ],
)
def test_each_result_is_another_file(tmp_path, monkeypatch, options, common, message):
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    Path("r").touch()
    Path("to-r").symlink_to("r")
    groups = Options("count", ("a",), **options), CommonOptions(**common)
    if not message:
        check_files(*groups)
        return
    with pytest.raises(ValueError, match=message):
        check_files(*groups)
