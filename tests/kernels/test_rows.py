"""Several columns are parsed as by `csv` and `float`, wherever the bytes are split.

See tests/fuzz.py for the number of examples of each test.
"""

import csv
import io
import math
from collections import defaultdict
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.kernels.columns import unquote
from mpiapps.kernels.group_sums import GroupSums
from mpiapps.kernels.numbers_in_rows import MISSING_VALUES, NumberParser
from mpiapps.kernels.records import Dialect
from mpiapps.kernels.rows import RowParser
from mpiapps.kernels.selection import (
    LEVELS,
    Selection,
    count_bits,
    interpolate,
    matching,
    percentile_indices,
)
from mpiapps.kernels.superaccumulator import UNIT_BITS
from tests.fuzz import examples
from tests.kernels.test_columns import DIALECTS, RECORDS, as_array, is_open
from tests.kernels.test_numbers import as_float

EXAMPLES = examples(60)
COLUMNS = st.lists(st.integers(0, 4), min_size=1, max_size=4)
NUMBERS = st.lists(st.floats(allow_infinity=False) | st.sampled_from([0.0, -0.0, 1.0]))


def rows_in(data, columns, dialect, block_size, room):
    """Yield the offset and the rows, of blocks; raise if a quote is not closed."""
    parser = RowParser(columns, dialect, room)
    for start in range(0, len(data), block_size):
        for rows in parser.rows(as_array(data[start : start + block_size])):
            yield parser.offset, rows
    for rows in parser.end():
        yield parser.offset, rows


def by_csv(text, columns, quote):
    options = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    rows = csv.reader(io.StringIO(text, newline="\n"), **options)
    return [[row[c] if c < len(row) else "" for c in columns] for row in rows if row]


@EXAMPLES
@given(
    st.lists(RECORDS, max_size=30).map("\n".join),
    COLUMNS,
    st.sampled_from(list(DIALECTS)),
    st.sampled_from([1, 7, 64, 65, 10**4]),
    st.sampled_from([1, 3, 100]),
)
def test_fields_are_those_of_csv(text, columns, quote, block_size, room):
    dialect, data = DIALECTS[quote], text.encode()
    found, values = [], []
    parser = NumberParser(len(columns), dialect, room)

    def texts():
        for offset, rows in rows_in(data, columns, dialect, block_size, room):
            spans = rows.spans[rows.order, : rows.records].tolist()
            assert (data + b"\n")[offset:].startswith(rows.buffer[:9].tobytes())
            for fields in zip(*spans, strict=True):
                raws = [rows.buffer[b:e].tobytes() for b, e in fields]
                found.append([unquote(raw, dialect).decode() for raw in raws])
            yield offset, rows

    try:
        for array in parser.arrays(texts()):
            values += array.T.tolist()
    except ValueError:  # the only reason for it here
        assert is_open(text, dialect)
        return
    assert not is_open(text, dialect)
    wanted = by_csv(text, columns, quote)
    assert [[t.rstrip("\r\n") for t in row] for row in found] == [
        [t.rstrip("\r\n") for t in row] for row in wanted
    ]
    for row, numbers in zip(wanted, values, strict=True):
        for field, number in zip(row, numbers, strict=True):
            expected = as_float(field)
            if math.isnan(expected):
                missing = field.strip(" \t\r\n\v\f").lower() in MISSING_VALUES
                assert math.isnan(number) if missing else number == math.inf
            else:
                assert number == expected


@EXAMPLES
@given(NUMBERS, st.integers(1, 5), st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_percentiles_are_those_of_numpy(numbers, parts, percentiles):
    values = np.array(numbers, float)
    finite = np.sort(values[np.isfinite(values)])
    if not len(finite):
        return
    places = [percentile_indices(len(finite), each) for each in percentiles]
    selection = Selection([n for low, high, _ in places for n in (low, high)])
    shift = 64
    for width in LEVELS:
        shift -= width
        counts = np.zeros((len(selection.prefixes), 1 << width), np.int64)
        if shift + width < 64:
            finite = matching(finite, selection.prefixes, shift + width)
        for part in np.array_split(values, parts):
            count_bits(part, selection.prefixes, shift, width, counts)
        assert counts.sum() == len(finite)
        assert selection.narrow(counts)
    found, finite = selection.numbers(), np.sort(values[np.isfinite(values)])
    for k, (low, high, weight) in enumerate(places):
        assert found[2 * k : 2 * k + 2] == [finite[low], finite[high]]
        with np.errstate(over="ignore", invalid="ignore"):
            wanted = np.percentile(finite, percentiles[k])
        if math.isfinite(wanted):
            got = interpolate(*found[2 * k : 2 * k + 2], weight)
            scale = max(abs(finite[low]), abs(finite[high]))
            assert abs(got - wanted) <= 4e-16 * scale + 5e-324


@EXAMPLES
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "a", "b", "a\r", '"q"', '"a"', '"a""b"', '"']),
            st.floats() | st.integers(-9, 9).map(float),
        ),
        max_size=50,
    ),
    st.integers(1, 4),
)
def test_group_sums_are_exact_in_any_order(pairs, tables):
    expected = defaultdict(lambda: [0, 0, Fraction(0)])
    sums = [GroupSums() for _ in range(tables)]
    for n, (key, number) in enumerate(pairs):
        raw = key.encode()
        data, span = np.frombuffer(bytearray(raw), np.uint8), [[0, len(raw)]]
        spans = np.array(span, np.int32)
        sums[n % tables].add_values(data, spans, Dialect(), np.array([number]))
        row = expected[unquote(raw.removesuffix(b"\r"), Dialect())]
        if math.isfinite(number):
            row[0] += 1
            row[2] += Fraction(number)
        else:
            row[1] += 1
    total = GroupSums()
    for n, table in enumerate(sums):
        if n % 2:
            total.merge_record(table.record())
        for share in () if n % 2 else table.split_groups(3):
            total.merge_groups(share)
    got = {
        key: [count, others, Fraction(value, 1 << UNIT_BITS)]
        for key, count, others, value in total.totals()
    }
    assert got == dict(expected)
