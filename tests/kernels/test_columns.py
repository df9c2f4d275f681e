"""Columns are parsed as by `csv` and `float`, wherever the bytes are split."""

import csv
import io
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiapps.kernels.columns import MAX_FIELD_BYTES, ColumnParser
from mpiapps.kernels.records import (
    FIELD,
    NEWLINE,
    PLAIN,
    QUOTED,
    RECORD,
    STATES,
    Dialect,
    advance_quote_states,
    find_record_end,
)
from tests.kernels.test_numbers import as_float

DIALECTS = {'"': Dialect(), "'": Dialect(44, 39), "": Dialect(44, -1)}
PIECES = [
    '"', '"', "'", ",", "\n", "1", "2.5", '12"', '"34"', '""', " ", "\t", "x", "\\",
    '"a\\"b"', "\r\n", "-7e3", "1_0", '"5"6', '"two\nlines"', '"a,b"', "é", "inf",
    "9007199254740993.00000000000000000000001", "1234567890123456789_0",
]  # fmt: skip
RECORDS = st.lists(st.sampled_from(PIECES), max_size=16).map("".join)


def as_array(data):
    return np.frombuffer(data, np.uint8)


def parse(data, column, dialect=DIALECTS['"'], block_size=2**20):
    parser, numbers = ColumnParser(column, dialect), []
    for start in range(0, len(data), block_size):
        block = as_array(data[start : start + block_size])
        numbers += parser.numbers(block).tolist()
    return numbers + parser.end().tolist()


def by_csv(text, column, quote):
    options = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    rows = csv.reader(io.StringIO(text, newline="\n"), **options)
    return [as_float(row[column]) if column < len(row) else math.nan
            for row in rows if row]  # fmt: skip


def is_open(text, dialect):
    """Return whether a text ends inside quotes."""
    state, data = RECORD, as_array(text.encode())
    while len(data):
        end, state = find_record_end(data, state, *dialect)
        data = data[end:] if end > 0 else data[:0]
    return state == QUOTED


@settings(max_examples=400)
@given(RECORDS, st.integers(0, 2), st.sampled_from(list(DIALECTS)), st.integers(1, 9))
def test_a_column_is_parsed_as_by_csv_and_float(text, column, quote, block_size):
    dialect = DIALECTS[quote]
    if is_open(text, dialect):
        with pytest.raises(ValueError, match="is not closed"):
            parse(text.encode(), column, dialect, block_size)
        return
    numbers = parse(text.encode(), column, dialect, block_size)
    assert np.array_equal(numbers, by_csv(text, column, quote), equal_nan=True)


def test_an_unclosed_quote_is_located():
    with pytest.raises(ValueError, match="the quote at byte 6 is not closed"):
        parse(b'1,"2"\n"3,4\n5,6\n', 0)
    assert parse(b'1,"2"\n"3,4\n5,6\n', 1, DIALECTS[""])[1:] == [4.0, 6.0]


@pytest.mark.parametrize("quote", list(DIALECTS), ids=["double", "single", "none"])
def test_long_texts_are_parsed_as_by_csv_and_float(quote):
    rng, dialect = np.random.default_rng(2), DIALECTS[quote]
    for block_size in [*range(1, 10), *range(60, 70), *range(120, 400)]:
        text = "".join(rng.choice(PIECES, 80))
        text += quote if is_open(text, dialect) else ""
        for column in range(3):
            numbers = parse(text.encode(), column, dialect, block_size)
            assert np.array_equal(numbers, by_csv(text, column, quote), equal_nan=True)


def random_numbers(rng, count):
    """Yield texts of numbers, and of what is none, of every kind that `float` reads."""
    bits = rng.integers(0, 2**64, count, np.uint64).view(np.float64)
    digits = rng.integers(0, 10, (count, 40)).astype("U1")
    kinds, places = rng.integers(0, 12, count), rng.integers(0, 25, count).tolist()
    words = ["inf", "-Infinity", "nan", "", "-", ".", "1e", "0x1", "+.5E+3", " 7\t"]
    for n, (value, k) in enumerate(zip(bits.tolist(), places, strict=True)):
        text = "".join(digits[n])
        yield [
            repr(value), f"{value:.{k}e}", str(n), f"{value % 1000:.{k}f}",
            f"{text[:k]}.{text[k : 2 * k]}", f"-{text[:k]}e{k - 350}",
            f"{text[: k + 15]}e+{k * 13}", f"5e-324{text[:k]}", f"00{text[0]}.{text}",
            str(2**53 + 2 * n + 1), f"{(2 * n + 1) / 2**k!r}", words[n % len(words)],
        ][kinds[n]]  # fmt: skip


def test_many_numbers_of_every_kind_equal_float():
    texts = list(random_numbers(np.random.default_rng(1), 30_000))
    data = "\n".join(f"{text},{n}" for n, text in enumerate(texts)).encode()
    numbers = np.array(parse(data, 0, block_size=5000))
    wanted = np.array([as_float(text) for text in texts])
    nan = np.isnan(wanted)
    assert np.array_equal(np.isnan(numbers), nan)
    assert numbers[~nan].tobytes() == wanted[~nan].tobytes()


def test_long_fields():
    digits = b"1" + b"0" * (MAX_FIELD_BYTES // 2) + b"e-%d" % (MAX_FIELD_BYTES // 2)
    long = b'"' + b"long," * MAX_FIELD_BYTES + b'"'
    data = b",".join([digits, long, b"5"]) + b"\n" + long + b",6,7\n"
    for block_size in (len(data), 1000):
        assert parse(data, 0, block_size=block_size)[0] == 1.0
        assert parse(data, 2, block_size=block_size) == [5.0, 7.0]
        assert math.isnan(parse(data, 0, block_size=block_size)[1])


@settings(max_examples=300)
@given(RECORDS, st.lists(st.integers(0, 40), max_size=4))
def test_a_record_is_read_once_wherever_a_file_is_split(text, offsets):
    data = text.encode() + b"\n"
    dialect = DIALECTS['"']
    if is_open(text + "\n", dialect):
        return
    splits = sorted({0, len(data), *(n for n in offsets if n < len(data))})
    state, numbers = PLAIN, []
    for start, stop in pairwise(splits):
        previous = data[start - 1] if start else NEWLINE
        known = {NEWLINE: RECORD, dialect.delimiter: FIELD}.get(previous, PLAIN)
        parser = ColumnParser(0, dialect, known if state == PLAIN else state, start)
        numbers += parser.numbers(as_array(data[start:stop])).tolist()
        if parser.open:
            numbers += parser.numbers(as_array(data[stop:]), once=True).tolist()
        states = np.array(STATES)
        advance_quote_states(as_array(data[start:stop]), previous, *dialect, states)
        state = states[STATES.index(state)]
    assert np.array_equal(numbers, parse(data, 0), equal_nan=True)


def test_records_end_outside_of_quotes():
    data, dialect = as_array(b'a,"x\ny"\nb\n'), DIALECTS['"']
    assert find_record_end(data, RECORD, *dialect) == (8, RECORD)
    assert find_record_end(data[4:], QUOTED, *dialect) == (4, RECORD)
    assert find_record_end(data[:6], RECORD, *dialect) == (-1, QUOTED)
