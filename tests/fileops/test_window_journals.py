"""Journals that hold segments of compressed files."""

import gzip
import json
from itertools import chain

import numpy as np
import pytest

from mpiapps.fileops import convert, record_reader, run_segments, windows
from mpiapps.fileops.convert import PartWriter
from mpiapps.fileops.count import TextCount
from tests.fileops.runs import run_files

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.one_mpi,
    pytest.mark.usefixtures("small_segments"),
]


@pytest.fixture
def executed(monkeypatch):
    """The segments that this rank has executed."""
    segments = []
    for operation in (TextCount, PartWriter):

        def execute(self, segment, execute=operation.execute):
            segments.append((segment.name, segment.start, segment.stop))
            return execute(self, segment)

        monkeypatch.setattr(operation, "execute", execute)
    return segments


@pytest.fixture(autouse=True)
def _stop_before_the_end_of_convert(monkeypatch):
    """Leave parts where a run that goes on looks for them."""
    monkeypatch.setattr(convert, "_commit", lambda *_: [])


@pytest.fixture
def run(world, monkeypatch, executed):
    """Run an operation with so many segments of each file; return those executed."""

    def call(segments, *args, window=53, **options):
        executed.clear()
        monkeypatch.setattr(
            run_segments, "idle_parts", lambda sizes, _: np.full(len(sizes), segments)
        )
        monkeypatch.setattr(windows, "WINDOW_BYTES", window)
        monkeypatch.setattr(record_reader, "MIN_PART_BYTES", window)
        result = run_files(world, *args, **options)
        return result, sorted(chain(*world.comm.allgather(executed)))

    return call


def test_a_run_on_other_ranks_keeps_what_is_recorded(world, place, on_root, run):
    content = " ".join(map(str, range(2000))).encode()
    on_root((place / "a.gz").write_bytes, gzip.compress(content))
    on_root((place / "b.txt").write_bytes, b"1 2\n")
    on_root((place / "empty.gz").write_bytes, b"")
    directory = place.parent / "journals"

    def count(segments):
        result, executed = run(segments, "count", place, directory=str(directory))
        if world.is_root:
            assert result.values["words"] == 2002
            assert (result.values["files"], result.values["failed"]) == (2, 1)
        return [segment for segment in executed if segment[0].endswith("a.gz")]

    first = count(3)
    assert len(first) == 3
    assert count(2) == []

    def forget():
        """Remove the records of one segment, and of nothing else."""
        start = json.dumps(first[1][1:])[1:-1]
        for path in directory.glob("journal.*"):
            lines = path.read_bytes().splitlines(keepends=True)
            kept = [line for line in lines if start.encode() not in line]
            path.write_bytes(b"".join(kept))

    on_root(forget)
    again = count(6)
    assert again[0][1] == first[1][1]
    assert again[-1][2] == first[1][2]
    assert len(again) >= 2


@pytest.mark.parametrize("operation", ["count", "convert"])
def test_parts_with_other_windows_are_not_kept(place, on_root, run, operation):
    content = "x\n" + "\n".join(map(str, range(2000)))
    on_root((place / "a.csv.gz").write_bytes, gzip.compress(content.encode()))
    target = place.parent / "target"
    options = {"output_dir": str(target)} if operation == "convert" else {}
    options["directory"] = str(place.parent / "journals")
    for window, expected in ((997, 3), (997, 0), (499, 3)):
        _, executed = run(3, operation, place, window=window, **options)
        assert len(executed) == expected
