"""A column is what `csv` and `float` make of it, however the bytes are cut."""

import csv
import io
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiapps.kernels.columns import HELD, Parser
from mpiapps.kernels.records import (
    FIELD,
    NEWLINE,
    PLAIN,
    QUOTED,
    RECORD,
    STATES,
    Form,
    end_of_record,
    pass_quotes,
)
from tests.kernels.test_numbers import as_float

FORMS = {'"': Form(), "'": Form(44, 39), "": Form(44, -1)}
PIECES = st.sampled_from(
    ['"', '"', "'", ",", "\n", "1", "2.5", '12"', '"34"', '""', " ", "\t", "x", "\\",
     '"a\\"b"', "\r\n", "-7e3", "1_0", '"5"6', '"two\nlines"', '"a,b"', "é", "inf",
     "9007199254740993.00000000000000000000001", "1234567890123456789_0"]
)  # fmt: skip
RECORDS = st.lists(PIECES, max_size=16).map("".join)


def as_array(data):
    return np.frombuffer(data, np.uint8)


def parsed(data, column, form=FORMS['"'], cut=2**20):
    parser, found = Parser(column, form), []
    for start in range(0, len(data), cut):
        for values in parser.numbers(as_array(data[start : start + cut])):
            found += values.tolist()
    for values in parser.end():
        found += values.tolist()
    return found


def by_csv(text, column, quote):
    style = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    rows = csv.reader(io.StringIO(text, newline="\n"), **style)
    return [as_float(row[column]) if column < len(row) else math.nan
            for row in rows if row]  # fmt: skip


def is_open(text, form):
    """Return whether a text ends inside quotes."""
    where, data = RECORD, as_array(text.encode())
    while len(data):
        end, where = end_of_record(data, where, *form)
        data = data[end:] if end > 0 else data[:0]
    return where == QUOTED


@settings(max_examples=400)
@given(RECORDS, st.integers(0, 2), st.sampled_from(list(FORMS)), st.integers(1, 9))
def test_a_column_is_read_as_csv_and_float_do(text, column, quote, cut):
    form = FORMS[quote]
    if is_open(text, form):
        with pytest.raises(ValueError, match="is not closed"):
            parsed(text.encode(), column, form, cut)
        return
    found = parsed(text.encode(), column, form, cut)
    wanted = by_csv(text, column, quote)
    assert np.array_equal(found, wanted, equal_nan=True), (found, wanted)


def test_the_quote_that_is_not_closed_is_named():
    with pytest.raises(ValueError, match="the quote at byte 6 is not closed"):
        parsed(b'1,"2"\n"3,4\n5,6\n', 0)
    assert parsed(b'1,"2"\n"3,4\n5,6\n', 1, FORMS[""])[1:] == [4.0, 6.0]


def test_no_field_is_too_long_and_none_is_read_again():
    digits = b"1" + b"0" * (HELD // 2) + b"e-%d" % (HELD // 2)
    long = b'"' + b"long," * HELD + b'"'
    data = b",".join([digits, long, b"5"]) + b"\n" + long + b",6,7\n"
    for cut in (len(data), 1000):
        assert parsed(data, 0, cut=cut)[0] == 1.0
        assert parsed(data, 2, cut=cut) == [5.0, 7.0]
        assert math.isnan(parsed(data, 0, cut=cut)[1])


@settings(max_examples=300)
@given(RECORDS, st.lists(st.integers(0, 40), max_size=4))
def test_a_record_is_read_once_wherever_a_file_is_cut(text, places):
    data = text.encode() + b"\n"
    form = FORMS['"']
    if is_open(text + "\n", form):
        return
    cuts = sorted({0, len(data), *(place for place in places if place < len(data))})
    state, found = PLAIN, []
    for start, stop in pairwise(cuts):
        before = data[start - 1] if start else NEWLINE
        known = {NEWLINE: RECORD, form.delimiter: FIELD}.get(before, PLAIN)
        parser = Parser(0, form, known if state == PLAIN else state, start)
        for values in parser.numbers(as_array(data[start:stop])):
            found += values.tolist()
        rest = as_array(data[stop:])
        for values in parser.numbers(rest, once=True) if parser.open else ():
            found += values.tolist()
        ends = np.array(STATES)
        pass_quotes(as_array(data[start:stop]), before, *form, ends)
        state = ends[STATES.index(state)]
    assert np.array_equal(found, parsed(data, 0), equal_nan=True)


def test_records_end_outside_of_quotes():
    data, form = as_array(b'a,"x\ny"\nb\n'), FORMS['"']
    assert end_of_record(data, RECORD, *form) == (8, RECORD)
    assert end_of_record(data[4:], QUOTED, *form) == (4, RECORD)
    assert end_of_record(data[:6], RECORD, *form) == (-1, QUOTED)
