"""Wherever files are cut, the parts are those of the whole, and cost no more."""

import math
import os
import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpiapps.filework import reading, segments
from mpiapps.filework.columns import Column
from mpiapps.filework.count import Count, sums_of
from mpiapps.filework.header import Style, layout
from mpiapps.filework.quotes import Quotes, inside_quotes
from mpiapps.filework.reading import Reader, lines
from mpiapps.filework.segments import Segment, cut
from mpiapps.kernels.records import Form
from mpiapps.kernels.text import count
from tests.kernels.test_text import PIECES, as_array

SOME = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PLACES = st.lists(st.integers(0, 60), max_size=6)


def parts_of(path, places):
    """Return the segments of a file that is cut at places."""
    size = path.stat().st_size
    cuts = sorted({0, size, *(place for place in places if place < size)})
    pairs = list(pairwise(cuts)) or [(0, 0)]
    return [Segment(0, str(path), start, stop, size) for start, stop in pairs]


@SOME
@given(st.lists(PIECES, max_size=20), PLACES, st.sampled_from(["utf-8", "bytes"]))
def test_counts_do_not_depend_on_the_cuts(tmp_path, pieces, places, encoding):
    data = b"".join(pieces)
    (tmp_path / "text").write_bytes(data)
    operation = Count(encoding)
    rows = [operation.do(part) for part in parts_of(tmp_path / "text", places)]
    sums = sums_of(np.zeros(len(rows), int), np.array(rows)).sum(axis=0)
    whole = count(as_array(data), encoding)
    cut_off = len(data) - whole.used
    wanted = [*whole[:3], len(data), whole.invalid + cut_off]
    assert sums.tolist() == wanted, (data, places)


@SOME
@given(st.lists(PIECES, max_size=20), PLACES)
def test_words_and_lines_are_met_once(tmp_path, pieces, places):
    data = b"".join(pieces)
    (tmp_path / "text").write_bytes(data)
    parts = parts_of(tmp_path / "text", places)
    words = Count(top=True, recorded=True)
    found = Counter()
    for part in parts:
        some = words.do(part)[-1]
        found.update({word.encode("latin-1"): n for word, n in some.items()})
    assert found == Counter(data.split())
    some = [line for part in parts for line in lines(part, Reader())]
    assert some == data.removesuffix(b"\n").split(b"\n") * bool(data)


def column_of(parts, name, style):
    source = Column(name, style)
    quotes = Quotes(source)
    source.inside = inside_quotes({0: [(p.stop, quotes.do(p)) for p in parts]})
    found = [values for part in parts for values in source.values(part)]
    return np.concatenate([np.empty(0), *found]).tolist()


@SOME
@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(
    ['"a,b"', '"two\nlines"', '12" pipe', '"say ""1"""', '"', ""])), max_size=9),
    PLACES)  # fmt: skip
def test_a_column_does_not_depend_on_the_cuts(tmp_path, rows, places):
    text = "".join(f"{n},x{words if words == chr(34) else chr(44) + words}\n"
                   for n, words in rows)  # fmt: skip
    (tmp_path / "t.csv").write_text(f'# a "comment\n\nn,x\n{text}')
    parts = parts_of(tmp_path / "t.csv", places)
    assert column_of(parts, "n", Style()) == [n for n, _ in rows]


WITHOUT_ENDS = {
    "no blank": b"A" * 2**20,
    "only zeros": bytes(2**20),
    "one quoted field": b'"' + b"minified, json \n" * 2**16 + b'"',
    "one line, many words": b"a b " * 2**18,
    "nothing but quotes": b'"' * 2**20,
}


@pytest.mark.parametrize("data", WITHOUT_ENDS.values(), ids=list(WITHOUT_ENDS))
def test_no_byte_is_read_again_and_again(tmp_path, monkeypatch, data):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    read, real = [0], os.preadv

    def counted(*args):
        n = real(*args)
        read[0] += n
        return n

    monkeypatch.setattr(reading.os, "preadv", counted)
    monkeypatch.setattr(segments, "LEAST", 2**13)
    cuts = cut(np.array([len(data)]))
    places = zip(cuts.start.tolist(), cuts.stop.tolist(), strict=True)
    parts = [Segment(0, str(path), *place, len(data)) for place in places]
    assert len(parts) >= 128
    for do in (
        Count(only=("lines",)).do,
        Count().do,
        Count(top=True).do,
        lambda part: list(lines(part, Reader())),
    ):
        for part in parts:
            do(part)
        assert read[0] < 3 * len(data)
        read[0] = 0
    column_of(parts, "1", Style(header="no"))
    assert read[0] < 4 * len(data)  # twice: once for quotes


def test_a_word_without_end_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "zeros").write_bytes(bytes(2**20))
    monkeypatch.setattr("mpiapps.filework.count.LONGEST", 2**19)
    (part,) = parts_of(tmp_path / "zeros", [])
    with pytest.raises(ValueError, match="a word is longer than 524288 bytes"):
        Count(top=True).do(part)
    assert Count().do(part)[:4] == [0, 0, 2**20, 2**20]


# The file's start, the column, the header option; which column it is, where data begin.
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
    ("\ufeffa,b\n1,2\n", "a", "auto", 0, 7),
    ('"two\nlines",b\n1,2\n', "two\nlines", "auto", 0, 14),
    ("", "7", "auto", 6, 0),
]


@pytest.mark.parametrize(("text", "wanted", "header", "column", "start"), HEADERS)
def test_which_column_it_is_and_where_data_begin(text, wanted, header, column, start):
    for size in (1, 3, 1000):
        data = as_array(text.encode())
        blocks = (data[n : n + size] for n in range(0, len(data), size))
        assert layout(blocks, wanted, Form(), header) == (column, start)


@pytest.mark.parametrize(
    ("wanted", "header"), [("c", "auto"), ("3", "auto"), ("a", "no"), ("0", "yes")]
)
def test_a_column_that_is_not_there_is_named(wanted, header):
    with pytest.raises(
        ValueError, match=f"no column {wanted}; the first record is a, b"
    ):
        layout([as_array(b"a,b\n1,2\n")], wanted, Form(), header)


def test_a_header_may_be_long(tmp_path):
    names = ",".join(f"column-{n}" for n in range(60_000))
    rows = "".join(f"{'0,' * 59_999}{n}\n" for n in range(3))
    (tmp_path / "wide.csv").write_text(f"{names}\n{rows}")
    some = random.Random(1)
    places = [some.randrange(len(names) + len(rows)) for _ in range(6)]
    for name in ("column-59999", "60000"):
        parts = parts_of(tmp_path / "wide.csv", places)
        assert column_of(parts, name, Style()) == [0, 1, 2]
    first = column_of(parts, "60000", Style(header="no"))
    assert math.isnan(first[0])
    assert first[1:] == [0, 1, 2]
