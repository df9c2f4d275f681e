"""Results do not depend on where files are split, nor does the number of reads."""

import math
import os
import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpiapps.fileops import reading, segments
from mpiapps.fileops.columns import ColumnMoments, ColumnReader
from mpiapps.fileops.count import TextCount, join_words
from mpiapps.fileops.csv_header import CSVOptions, column_names, find_columns
from mpiapps.fileops.csv_quotes import QuoteStates, quote_states
from mpiapps.fileops.reading import SegmentReader, iter_lines
from mpiapps.fileops.segments import Segment, split_files
from mpiapps.fileops.tables import TableReader
from mpiapps.kernels.records import Dialect
from mpiapps.kernels.text import count_text
from tests.kernels.test_text import PIECES, as_array

SETTINGS = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
OFFSETS = st.lists(st.integers(0, 60), max_size=6)


def split_at(path, offsets):
    """Return the segments of a file that is split at offsets."""
    size = path.stat().st_size
    cuts = sorted({0, size, *(offset for offset in offsets if offset < size)})
    pairs = list(pairwise(cuts)) or [(0, 0)]
    return [Segment(0, str(path), start, stop, size) for start, stop in pairs]


@SETTINGS
@given(st.lists(PIECES, max_size=20), OFFSETS, st.sampled_from(["utf-8", "bytes"]))
def test_counts_do_not_depend_on_the_splits(tmp_path, pieces, offsets, encoding):
    data = b"".join(pieces)
    (tmp_path / "text").write_bytes(data)
    operation = TextCount(encoding)
    rows = [operation.execute(part) for part in split_at(tmp_path / "text", offsets)]
    sums = join_words(np.zeros(len(rows), int), np.array(rows)).sum(axis=0)
    whole = count_text(as_array(data), encoding)
    truncated = len(data) - whole.used
    wanted = [*whole[:3], len(data), whole.invalid + truncated]
    assert sums.tolist() == wanted, (data, offsets)


@SETTINGS
@given(st.lists(PIECES, max_size=20), OFFSETS)
def test_words_and_lines_are_counted_once(tmp_path, pieces, offsets):
    data = b"".join(pieces)
    (tmp_path / "text").write_bytes(data)
    parts = split_at(tmp_path / "text", offsets)
    operation = TextCount(top=True, recorded=True)
    words = Counter()
    for part in parts:
        counts = operation.execute(part)[-1]
        words.update({word.encode("latin-1"): n for word, n in counts.items()})
    assert words == Counter(data.split())
    lines = [line for part in parts for line in iter_lines(part, SegmentReader())]
    assert lines == data.removesuffix(b"\n").split(b"\n") * bool(data)


def read_column(parts, name, options):
    source = ColumnReader(name, options)
    quotes = QuoteStates(source)
    source.quote_states = quote_states(
        {0: [(p.stop, quotes.execute(p)) for p in parts]}
    )
    arrays = [values for part in parts for values in source.values(part)]
    return np.concatenate([np.empty(0), *arrays]).tolist()


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(
    ['"a,b"', '"two\nlines"', '12" pipe', '"say ""1"""', '"', ""])), max_size=9),
    OFFSETS)  # fmt: skip
def test_a_column_does_not_depend_on_the_splits(tmp_path, rows, offsets):
    text = "".join(f"{n},x{words if words == chr(34) else chr(44) + words}\n"
                   for n, words in rows)  # fmt: skip
    (tmp_path / "t.csv").write_text(f'# a "comment\n\nn,x\n{text}')
    parts = split_at(tmp_path / "t.csv", offsets)
    assert read_column(parts, "n", CSVOptions()) == [n for n, _ in rows]


def test_a_quote_after_a_byte_order_mark_opens_a_field(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('\ufeff"1\n2",5\n3,6\n')
    for offset in range(path.stat().st_size):
        parts = split_at(path, [offset, 5])
        assert read_column(parts, "2", CSVOptions(header="no")) == [5, 6], offset


WITHOUT_SEPARATORS = {
    "no blank": b"A" * 2**20,
    "only zeros": bytes(2**20),
    "one quoted field": b'"' + b"minified, json \n" * 2**16 + b'"',
    "one line, many words": b"a b " * 2**18,
    "nothing but quotes": b'"' * 2**20,
}


@pytest.mark.parametrize(
    "data", WITHOUT_SEPARATORS.values(), ids=list(WITHOUT_SEPARATORS)
)
def test_bytes_are_read_at_most_twice(tmp_path, monkeypatch, data):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    read, real = [0], os.preadv

    def count_bytes(*args):
        n = real(*args)
        read[0] += n
        return n

    monkeypatch.setattr(reading.os, "preadv", count_bytes)
    monkeypatch.setattr(segments, "MIN_SEGMENT_BYTES", 2**13)
    split = split_files(np.array([len(data)]))
    ranges = zip(split.start.tolist(), split.stop.tolist(), strict=True)
    parts = [Segment(0, str(path), *pair, len(data)) for pair in ranges]
    assert len(parts) >= 128
    for function in (
        TextCount(only=("lines",)).execute,
        TextCount().execute,
        TextCount(top=True).execute,
        lambda part: list(iter_lines(part, SegmentReader())),
    ):
        for part in parts:
            function(part)
        assert read[0] < 3 * len(data)
        read[0] = 0
    read_column(parts, "1", CSVOptions(header="no"))
    assert read[0] < 4 * len(data)  # twice: once for quotes


def test_a_word_that_is_too_long_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "zeros").write_bytes(bytes(2**20))
    monkeypatch.setattr("mpiapps.fileops.count.MAX_RECORD_BYTES", 2**19)
    (part,) = split_at(tmp_path / "zeros", [])
    with pytest.raises(ValueError, match="a word is longer than 524288 bytes"):
        TextCount(top=True).execute(part)
    assert TextCount().execute(part)[:4] == [0, 0, 2**20, 2**20]


# Start of the file, column, header option; index of the column, start of the data.
HEADERS = [
    ("a,b\n1,2\n", "b", "auto", 1, 4),
    ("a,b\n1,2\n", "2", "auto", 1, 4),
    ("1,2\n3,4\n", "1", "auto", 0, 0),
    ("2,1\n3,4\n", "1", "auto", 0, 0),  # a datum, not a name
    ("NA,5\n3,4\n", "1", "auto", 0, 0),
    ("NA\n3\n", "1", "auto", 0, 0),
    ("2019,2020\n1,2\n", "2020", "auto", 1, 10),
    ("2019,2020\n1,2\n", "2", "auto", 1, 0),
    ("2019,2020\n1,2\n", "2", "yes", 1, 10),
    ("2,1\n3,4\n", "1", "yes", 1, 4),
    ("a,b\n1,2\n", "1", "no", 0, 0),
    (",a,b\n0,1,2\n", "a", "auto", 1, 5),
    (",a,b\n0,1,2\n", "2", "auto", 1, 5),
    ("\n\r\n# who, when\na,b\n1,2\n", "b", "auto", 1, 19),
    ("# it's \"\na,b\n1,2\n", "2", "auto", 1, 13),
    ("#a,b\n1,2\n", "#a", "auto", 0, 5),
    ("# who\n1,2\n", "2", "no", 1, 6),
    ("# x,b\na,x,b\n1,2,3\n", "b", "auto", 2, 12),
    ("# b\n#a,b\nx,1\n", "b", "auto", 1, 9),
    ("\ufeffa,b\n1,2\n", "a", "auto", 0, 7),
    ("\ufeff1,2\n3,4\n", "1", "auto", 0, 3),
    ("\ufeff\ufeffa,b\n1,2\n", "b", "auto", 1, 10),
    ("\ufeff# c\na,b\n1,2\n", "b", "auto", 1, 11),
    ('\ufeff"a\nb",c\n1,2\n', "c", "auto", 1, 11),
    ('\ufeff"1","2,5",7\n3,4,8\n', "3", "auto", 2, 3),
    ('"two\nlines",b\n1,2\n', "two\nlines", "auto", 0, 14),
    ('"two\rlines",b\n1,2\n', "b", "auto", 1, 14),
    ("# 10 %\r20 %\na,b\n1,2\n", "b", "auto", 1, 16),
    ("a,b\r\r\n1,2\r\r\n", "b", "auto", 1, 6),
    ("", "7", "auto", 6, 0),
]


@pytest.mark.parametrize(("text", "wanted", "header", "column", "start"), HEADERS)
def test_index_of_the_column_and_start_of_the_data(text, wanted, header, column, start):
    for size in (1, 3, 1000):
        data = as_array(text.encode())
        blocks = (data[n : n + size] for n in range(0, len(data), size))
        assert find_columns(blocks, [wanted], Dialect(), header) == ((column,), start)


@pytest.mark.parametrize(
    "text",
    [
        *("a,b\r1,2\r", "x\ry,b\n1,2\n", "\ufeffa,b\r\r1,2", "# c\ra,b\r1,2\r"),
        *("a,b\r", "\ufeffa,b\r", "# c\na,b\r", '"a",b\r', "# c\r", "\r"),  # at the end
    ],
)
def test_line_ends_of_cr_alone_are_refused(text):
    data = as_array(text.encode())
    for size in (1, 3, 1000):
        blocks = (data[n : n + size] for n in range(0, len(data), size))
        with pytest.raises(ValueError, match="a line ends with CR alone: '"):
            find_columns(blocks, ["2"], Dialect(), "auto")


def test_line_ends_of_cr_alone_are_found_in_the_first_block():
    blocks = iter([as_array(b"a,b\r1,2\r")] * 3)
    with pytest.raises(ValueError, match="CR alone"):
        find_columns(blocks, ["2"], Dialect(), "auto")
    assert len(list(blocks)) == 2


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [
        ("a.tsv", "\t"),
        ("a.TSV.Gz", "\t"),
        ("a.tsv.tzst", "\t"),
        ("x.tsv/a.csv", ","),
        ("x.tsv.gz/a.csv.gz", ","),
        ("a.tsv.csv", ","),
        (".gz", ","),
    ],
)
def test_the_delimiter_is_that_of_the_file_name(name, delimiter):
    assert CSVOptions().dialect(name).delimiter == ord(delimiter)
    assert CSVOptions(";").dialect(name).delimiter == ord(";")


def test_a_line_of_delimiters_is_a_record():
    for delimiter in ("\t", " ", ","):
        block, dialect = (
            as_array(f"{delimiter * 2}\n".encode()),
            Dialect(ord(delimiter)),
        )
        assert find_columns([block], ["3"], dialect, "no") == ((2,), 0)
        assert column_names([block], dialect, "no") == ["1", "2", "3"]
    blanks = as_array(b"\v \r\n1\t2\n")
    assert find_columns([blanks], ["2"], Dialect(ord("\t")), "no") == ((1,), 4)


@pytest.mark.parametrize(
    ("wanted", "header"), [("c", "auto"), ("3", "auto"), ("a", "no"), ("0", "yes")]
)
def test_a_missing_column_is_named(wanted, header):
    with pytest.raises(
        ValueError, match=f"no column {wanted}; the first record is a, b"
    ):
        find_columns([as_array(b"a,b\n1,2\n")], [wanted], Dialect(), header)


def test_a_header_may_be_long(tmp_path):
    names = ",".join(f"column-{n}" for n in range(60_000))
    rows = "".join(f"{'0,' * 59_999}{n}\n" for n in range(3))
    (tmp_path / "wide.csv").write_text(f"{names}\n{rows}")
    rng = random.Random(1)
    offsets = [rng.randrange(len(names) + len(rows)) for _ in range(6)]
    for name in ("column-59999", "60000"):
        parts = split_at(tmp_path / "wide.csv", offsets)
        assert read_column(parts, name, CSVOptions()) == [0, 1, 2]
    first = read_column(parts, "60000", CSVOptions(header="no"))
    assert math.isnan(first[0])
    assert first[1:] == [0, 1, 2]


def test_kept_numbers_take_no_memory_for_missing_values(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n1,\n1,\n1,\n" * 1000)
    (segment,) = split_at(path, [])
    moments = ColumnMoments(ColumnReader("b", CSVOptions()), max_kept=10_000)
    moments.execute(segment)
    (arrays,) = moments.kept_numbers.values()
    assert np.concatenate(arrays).tolist() == [2.0] * 1000
    assert sum((x if x.base is None else x.base).nbytes for x in arrays) == 8000


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("length", range(40, 90, 3))
def test_a_long_record_at_the_end_of_a_segment_is_read_once(
    tmp_path, monkeypatch, length
):
    monkeypatch.setattr(reading, "BLOCK_BYTES", 16)
    before = 97 - 4 - length  # so that the long record ends with the first segment
    lines = ["x,w", "," * (before - 1), "y" * (length - 3) + ",2", *["3,4"] * 50]
    content = "\n".join(lines).encode()
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    source, numbers = TableReader(["w"], CSVOptions()), []
    for _, start, stop in zip(*split_files(np.array([len(content)])), strict=True):
        segment = Segment(0, str(path), int(start), int(stop), len(content))
        for values in source.values(segment):
            numbers += values[0].tolist()
    assert numbers[1:] == [2.0, *[4.0] * 50]
