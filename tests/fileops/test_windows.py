"""Segments of compressed files: on any number of ranks, the results of one."""

import bz2
import csv
import gzip
import io
import json
import lzma
import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiapps.comm.world import World
from mpiapps.fileops import reading, record_reader, windows
from mpiapps.fileops.columns import ColumnReader
from mpiapps.fileops.csv_header import CSVOptions
from mpiapps.fileops.reading import after_blank
from mpiapps.fileops.segments import Segment, Segments, idle_parts, with_ranges
from mpiapps.fileops.summary import ColumnTotal
from mpiapps.fileops.windows import CSVEnds, SeparatorEnds, own_records
from mpiapps.kernels.records import Dialect
from tests.fileops.runs import run_files
from tests.wc import wc

COMPRESS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}


def parts_of(content, cuts, ends, block, start=0):
    """Return content and offset of the records of each segment of the content."""
    bounds = [0, *sorted(cuts), 2**40]
    for begin, stop in pairwise(bounds):
        segment = Segment(0, "x", begin, stop, 2**40)
        data = np.frombuffer(bytearray(content), np.uint8)
        blocks = (data[n : n + block] for n in range(start, len(data), block))
        position, runs = start, []
        for gap, part in own_records(blocks, segment, ends(), start):
            position += gap or 0
            assert part.tobytes() == content[position : position + len(part)]
            if gap is None and runs:
                runs[-1][1] += part.tobytes()
            else:
                runs.append([position, part.tobytes()])
            position += len(part)
        yield runs


ANY_CUTS = st.lists(st.integers(0, 2**40), max_size=5)
FIELDS = st.text('a",\n \r', max_size=9)


@given(
    rows=st.lists(st.lists(FIELDS, min_size=2, max_size=3), max_size=30),
    odd=st.booleans(),
    cuts=ANY_CUTS,
    block=st.integers(1, 40),
    window=st.integers(1, 40),
)
@settings(max_examples=200, deadline=None)
def test_each_record_of_csv_is_in_one_segment(rows, odd, cuts, block, window):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    content = (text.getvalue() + odd * '12" pipe,x').encode()
    records = list(csv.reader(io.StringIO(content.decode(), newline="")))
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "WINDOW_BYTES", window)
        for runs in parts_of(content, cuts, lambda: CSVEnds(Dialect()), block):
            for offset, part in runs:
                lines = csv.reader(io.StringIO(part.decode(), newline=""))
                found.append((offset, list(lines)))
    assert [row for _, part in sorted(found) for row in part] == records


@given(
    content=st.binary(max_size=300).map(lambda data: data.replace(b"\7", b" ")),
    cuts=ANY_CUTS,
    block=st.integers(1, 40),
    window=st.integers(1, 40),
)
@settings(max_examples=100, deadline=None)
def test_each_word_is_in_one_segment(content, cuts, block, window):
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "WINDOW_BYTES", window)
        for runs in parts_of(content, cuts, lambda: SeparatorEnds(after_blank), block):
            found += [tuple(run) for run in runs]
    assert b"".join(part for _, part in sorted(found)) == content
    words = Counter(word for _, part in found for word in part.split())
    assert words == Counter(content.split())


def test_segments_have_windows_in_proportion():
    size = 2**20 + 7
    bounds = [size * n // 16 for n in range(17)]
    for windows_of_file in (16, 200):
        counts = [
            sum(
                windows.has_window(Segment(0, "x", start, stop, size), n)
                for n in range(windows_of_file)
            )
            for start, stop in pairwise(bounds)
        ]
        assert sum(counts) == windows_of_file
        assert max(counts) <= windows_of_file / 16 + 1


def test_only_ranks_that_would_be_idle_decompress_a_file():
    million = 2**20
    for sizes, ranks, expected in (
        ([100, 0, -1], 8, [1, 1, 1]),  # small, empty, unreadable
        ([40 * million], 1, [1]),
        ([40 * million], 5, [5]),
        ([40 * million], 99, [16]),
        ([3 * million], 5, [3]),
        ([40 * million] * 3, 4, [1, 1, 1]),
        ([40 * million] * 2, 4, [2, 2]),
        ([90 * million, 10 * million], 8, [7, 1]),
    ):
        assert idle_parts(np.array(sizes), ranks).tolist() == expected


def test_recorded_ranges_are_kept():
    columns = [0, 0, 1, 2, 2, 3], [0, 5, 0, 0, 4, 0], [5, 10, 3, 4, 8, 0]
    segments = Segments(*(np.array(column) for column in columns))
    kept = {0: [(6, 9), (2, 3)], 2: [(0, 8)], 3: [(0, 0)]}
    rows = with_ranges(segments, np.array([10, 3, 8, 0]), kept)
    assert list(zip(*(column.tolist() for column in rows), strict=True)) == [
        *((0, 0, 2), (0, 2, 3), (0, 3, 6), (0, 6, 9), (0, 9, 10)),
        *((1, 0, 3), (2, 0, 8), (3, 0, 0)),
    ]


def test_an_open_quote_after_other_windows_is_located(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "WINDOW_BYTES", 16)
    rows = b"x\n" + b"12345\n" * 90
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(rows + b'"1\n2\n'))
    size = path.stat().st_size
    later = Segment(0, str(path), 1, size, size)  # all windows but the first one
    source = ColumnReader("x", CSVOptions())
    with pytest.raises(ValueError, match=f"the quote at byte {len(rows)} is not"):
        list(source.values(later))


def test_the_first_example_of_a_file_is_kept():
    total = ColumnTotal()
    for file, offset in ((1, 5), (1, 3), (1, 8), (0, 9), (2, 0)):
        total.add(file, [0, 0, 1, 0.0, 0.0, 0, 0, (offset, "x"), [], []])
    assert total.example == (0, 9, "x")
    assert total.invalid == 5


@pytest.fixture(params=[50, reading.BLOCK_BYTES])
def blocks(request, monkeypatch):
    """Read in blocks that are shorter than records, and in those of the program."""
    monkeypatch.setattr(reading, "BLOCK_BYTES", request.param)


def table():
    rng = random.Random(3)
    words = ['some "words"', "two\nlines", "", "a,b" * 40, 'say ""', "x" * 700]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(["key", "x"])
    for n in range(250):
        number = rng.lognormvariate(0, 99)
        rows.writerow([words[rng.randrange(6)], "12O" if n in (150, 200) else number])
    return text.getvalue().encode()


@pytest.mark.mpi
@pytest.mark.one_mpi
@pytest.mark.usefixtures("small_segments", "blocks")
@pytest.mark.parametrize("suffix", list(COMPRESS))
def test_tables_on_several_ranks(world, place, on_root, suffix):
    data, output = table(), place.parent / "out.csv"
    names = [place / "t.csv", place / f"t.csv.{suffix}"]
    on_root(names[0].write_bytes, data)
    on_root(names[1].write_bytes, COMPRESS[suffix](data))
    for operation, options in (
        ("histogram", {"column": "x", "bins": 9}),
        ("describe", {"column": "x"}),
        ("group", {"column": "x", "by": "key"}),
    ):
        results = []
        for name in names:
            result = run_files(world, operation, name, **options, output=str(output))
            note = [each.removeprefix(str(name)) for each in result.notes]
            text = output.read_bytes() if world.is_root else b""
            if world.is_root and operation == "describe":
                assert result.values["count"] == [248]
            results.append((json.dumps(result.values), note, text))
        assert results[0] == results[1], operation


@pytest.mark.mpi
@pytest.mark.one_mpi
@pytest.mark.usefixtures("small_segments", "blocks")
def test_parts_are_windows_on_any_number_of_ranks(world, place, on_root, monkeypatch):
    import pyarrow.parquet

    monkeypatch.setattr(record_reader, "MIN_PART_BYTES", 997)
    data = table()
    on_root((place / "t.csv.gz").write_bytes, gzip.compress(data))
    target = place.parent / "all"
    run_files(world, "convert", place, output_dir=str(target))
    alone = World(world.comm.Split(world.rank))
    if world.is_root:
        run_files(alone, "convert", place, output_dir=str(place.parent / "one"))
        names = sorted(path.name for path in target.iterdir())
        assert 10 < len(names) <= len(data) // 997 + 1
        for name in names:
            content = (place.parent / "one" / name).read_bytes()
            assert content == (target / name).read_bytes()
        found = pyarrow.parquet.read_table(target).to_pydict()
        rows = csv.reader(io.StringIO(data.decode(), newline=""))
        assert [*zip(*found.values(), strict=True)] == [*map(tuple, rows)][1:]
    world.comm.Barrier()


@pytest.mark.mpi
@pytest.mark.one_mpi
@pytest.mark.usefixtures("small_segments", "blocks")
@pytest.mark.parametrize("suffix", list(COMPRESS))
def test_texts_on_several_ranks(world, place, on_root, suffix):
    rng = random.Random(4)
    words = ["a", "straße", "x" * 300, "\u2003", "语言", "b\n", "\n"]
    data = " ".join(rng.choices(words, k=400)).encode() + b"caf\xe9"
    path = place / f"t.{suffix}"
    on_root(path.write_bytes, COMPRESS[suffix](data))
    counted = run_files(world, "count", path)
    lines = run_files(world, "count", path, only=("lines", "bytes"))
    top = run_files(world, "count", path, top=9)
    if world.is_root:
        values = [counted.values[n] for n in ("lines", "words", "characters", "bytes")]
        assert values == wc(data)
        assert counted.values["invalid"] == 1
        assert [lines.values[n] for n in ("lines", "bytes")] == [values[0], values[3]]
        best = Counter(data.split()).most_common()
        best = sorted(best, key=lambda pair: (-pair[1], pair[0]))[:9]
        found = [each.rpartition(":") for each in top.values["top"]]
        assert [int(n) for _, _, n in found] == [n for _, n in best]


@pytest.mark.mpi
@pytest.mark.one_mpi
@pytest.mark.usefixtures("small_segments", "blocks")
def test_a_damaged_file_fails_once(world, place, on_root):
    data = COMPRESS["gz"](table())
    noise = COMPRESS["gz"](random.Random(1).randbytes(10**5))
    on_root((place / "cut.csv.gz").write_bytes, data[: len(data) // 2])
    on_root((place / "bad.csv.gz").write_bytes, noise[:-8] + bytes(8))
    on_root(
        (place / "open.csv.gz").write_bytes, gzip.compress(b'x\n1\n"2' + b"\n" * 999)
    )
    for name, reason in {
        "cut": "the compressed file ended before its content did",
        "bad": "OSError: damaged, or not a gzip file: ",
        "open": "ValueError: the quote at byte 4 is not closed",
    }.items():
        path = place / f"{name}.csv.gz"
        result = run_files(world, "histogram", path, column="1")
        assert result.exit_code == 3
        if world.is_root:
            (note,) = result.notes
            assert note.startswith(f"{path}: {reason}")
