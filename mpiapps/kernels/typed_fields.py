"""Types of the fields of CSV columns, and fields as arrays of a type; one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import int64, uint64

from mpiapps.kernels.bits import read_byte
from mpiapps.kernels.columns import number_in_field, parse_field
from mpiapps.kernels.jit import kernel
from mpiapps.kernels.numbers_in_rows import (
    bare_field,
    is_missing,
    packed,
    packed_lower,
)
from mpiapps.kernels.records import NEWLINE, RETURN, Dialect
from mpiapps.kernels.rows import Rows

# Kinds of fields, as bits: an integer of 64 bits, a larger one, another number, also
# an infinity, and any other text. Missing values have no kind.
INTEGER, LARGE, DECIMAL, TEXT = 1, 2, 4, 8
ZERO, NINE, PLUS, MINUS = 48, 57, 43, 45
FILLED, UNDECIDED, OTHER = 0, 1, 2  # results of `fill_values`
MAX_DIGITS = 19  # of an integer of 64 bits
INF, INFINITY = packed("inf"), packed("infinity")
MAX_INFINITY_BYTES = len("-infinity")


@kernel
def parse_integer(text: Any, begin: int, end: int) -> tuple[int, Any]:
    """Return the kind of the bytes, `INTEGER`, `LARGE` or 0, and the integer."""
    negative = end > begin and read_byte(text, begin) == MINUS
    if end > begin and (negative or read_byte(text, begin) == PLUS):
        begin += 1
    if begin == end:
        return 0, 0
    for i in range(begin, end):
        if read_byte(text, i) < ZERO or read_byte(text, i) > NINE:
            return 0, 0
    while begin < end - 1 and read_byte(text, begin) == ZERO:
        begin += 1
    if end - begin > MAX_DIGITS:
        return LARGE, 0
    value = uint64(0)
    for i in range(begin, end):
        value = value * uint64(10) + uint64(read_byte(text, i) - ZERO)
    if value > uint64(2**63 - 1) + uint64(negative):
        return LARGE, 0
    return INTEGER, int64(uint64(0) - value if negative else value)


@kernel
def infinity_in_field(text: Any, begin: int, end: int, quote: int) -> float:
    """Return the infinity in a field, `inf` or `infinity` in any case, or NaN."""
    begin, end = bare_field(text, begin, end, quote)
    if begin == end or end - begin > MAX_INFINITY_BYTES:
        return np.nan
    sign = read_byte(text, begin)
    lower = packed_lower(text, begin + (sign in (MINUS, PLUS)), end)
    if lower not in (INF, INFINITY):
        return np.nan
    return -np.inf if sign == MINUS else np.inf


@kernel
def _kinds(rows: Rows, column: int, quote: int, first: int) -> tuple[int, int]:
    """Return the kinds of fields from a record on, and the record to go on from.

    Ends at a field that Python must parse, or, as nothing changes the type of the
    column any more, after a field of the kind `TEXT`.
    """
    text, kinds = rows.buffer.ctypes.data, 0
    spans = rows.spans[rows.order[column]]
    for n in range(first, rows.records):
        begin, end = int(spans[n, 0]), int(spans[n, 1])
        if is_missing(text, begin, end, quote):
            continue
        kind, _ = parse_integer(text, *bare_field(text, begin, end, quote))
        if kind == 0:
            value, undecided = number_in_field(text, begin, end, quote)
            if undecided:
                return kinds, n
            if np.isnan(value):
                value = infinity_in_field(text, begin, end, quote)
            kind = TEXT if np.isnan(value) else DECIMAL
        kinds |= kind
        if kind == TEXT:
            break
    return kinds, rows.records


def field_kinds(rows: Rows, column: int, dialect: Dialect) -> int:
    """Return the kinds of the fields of a column, as bits.

    Kinds after the first field of the kind `TEXT` may be missing.
    """
    kinds, n = _kinds(rows, column, dialect.quote, 0)
    while n < rows.records and not kinds & TEXT:
        begin, end = rows.spans[rows.order[column], n].tolist()
        value = parse_field(rows.buffer[begin:end].tobytes(), dialect)
        later_kinds, n = _kinds(rows, column, dialect.quote, n + 1)
        kinds |= later_kinds | (TEXT if np.isnan(value) else DECIMAL)
    return int(kinds)


@kernel
def _fill_integers(
    rows: Rows, column: int, quote: int, values: np.ndarray, valid: np.ndarray
) -> int:
    """Fill integers, and which are not missing; return how many are missing.

    Return -1 if a field is of another kind than `INTEGER`.
    """
    text, missing = rows.buffer.ctypes.data, 0
    spans = rows.spans[rows.order[column]]
    for n in range(rows.records):
        begin, end = int(spans[n, 0]), int(spans[n, 1])
        bounds = bare_field(text, begin, end, quote)
        kind, values[n] = parse_integer(text, *bounds)
        valid[n] = kind == INTEGER
        if kind != INTEGER:
            if not is_missing(text, begin, end, quote):
                return -1
            missing += 1
    return missing


@kernel
def _fill_floats(
    rows: Rows, column: int, quote: int, values: np.ndarray, state: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Fill numbers, NaN for missing ones, from a record on.

    `state`: that record, and the kinds so far. Return the status, the record after the
    last number, how many are missing, and the kinds.
    """
    first, kinds = state
    text, missing = rows.buffer.ctypes.data, 0
    spans = rows.spans[rows.order[column]]
    for n in range(first, rows.records):
        begin, end = int(spans[n, 0]), int(spans[n, 1])
        value, undecided = number_in_field(text, begin, end, quote)
        values[n] = value
        if np.isnan(value):
            if is_missing(text, begin, end, quote):
                missing += 1
                continue
            values[n] = infinity_in_field(text, begin, end, quote)
            if undecided or np.isnan(values[n]):
                return UNDECIDED if undecided else OTHER, n, missing, kinds
        if kinds & DECIMAL == 0:
            kind, _ = parse_integer(text, *bare_field(text, begin, end, quote))
            kinds |= kind if kind else DECIMAL
    return FILLED, rows.records, missing, kinds


class Values(NamedTuple):
    """Values of the columns of records, by column.

    Attributes
    ----------
    kinds : ndarray of int64, (columns,)
        What the columns contain: `INTEGER`, `DECIMAL`, or `TEXT`, which is not filled.
    floats : ndarray of float64, (columns, room)
    integers : ndarray of int64, (columns, room)
        A view of `floats`.
    valid : ndarray of bool, (columns, room)
        Which integers are not missing; missing floats are NaN.
    missing : ndarray of int64, (columns,)
        Count of missing values by column; added to.
    """

    kinds: np.ndarray
    floats: np.ndarray
    integers: np.ndarray
    valid: np.ndarray
    missing: np.ndarray


@kernel
def fill_values(
    rows: Rows, quote: int, kinds: np.ndarray, values: Values, at: np.ndarray
) -> int:
    """Fill the values of records, from a field on.

    Parameters
    ----------
    rows : Rows
    quote : int
        The quote, or -1.
    kinds : ndarray of int64, (columns,)
        Kinds of the fields, updated; integers may be missing after a `DECIMAL` one.
    values : Values
    at : ndarray of int64, (3,)
        Column and record of the first field, updated; index in `values` of the first
        record.

    Returns
    -------
    int
        `FILLED`; `UNDECIDED`: Python must parse the field `at`; `OTHER`: it is of
        another kind than its column.
    """
    while at[0] < len(values.kinds):
        column, first = at[0], at[2]
        status, n, missing = FILLED, rows.records, 0
        if values.kinds[column] == INTEGER:
            missing = _fill_integers(
                rows,
                column,
                quote,
                values.integers[column, first:],
                values.valid[column, first:],
            )
            kinds[column] |= INTEGER if 0 <= missing < rows.records else 0
            status = OTHER if missing < 0 else FILLED
        elif values.kinds[column] == DECIMAL:
            state = (at[1], kinds[column])
            status, n, missing, kinds[column] = _fill_floats(
                rows, column, quote, values.floats[column, first:], state
            )
        values.missing[column] += missing
        if status != FILLED:
            at[1] = n
            return status
        at[0], at[1] = column + 1, 0
    return FILLED


@kernel
def fill_texts(
    rows: Rows, column: int, quote: int, ends: np.ndarray, data: np.ndarray
) -> None:
    """Fill the bytes of the fields of a column, without the quotes around them.

    Parameters
    ----------
    rows : Rows
    column : int
    quote : int
        The quote, or -1.
    ends : ndarray of int32, (records + 1,)
        ``ends[n + 1]`` is set to the end of the field of record ``n`` in `data`.
    data : ndarray of uint8
        As long as all the fields at least.
    """
    buffer, spans = rows.buffer, rows.spans[rows.order[column]]
    size, ends[0] = 0, 0
    for n in range(rows.records):
        begin, end = int(spans[n, 0]), int(spans[n, 1])
        last = end < len(buffer) and buffer[end] == NEWLINE
        if last and end > begin and buffer[end - 1] == RETURN:
            end -= 1
        inside = end > begin and buffer[begin] == quote
        i = begin + inside
        while i < end:
            if inside and buffer[i] == quote:
                i += 1
                inside = i < end and buffer[i] == quote  # doubled: one of the text
                if i == end:
                    break
            data[size] = buffer[i]
            size += 1
            i += 1
        ends[n + 1] = size


def text_bytes(rows: Rows, column: int, quote: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the offsets, int32, and the bytes of the fields of a column as texts."""
    spans = rows.spans[rows.order[column], : rows.records]
    ends = np.empty(rows.records + 1, np.int32)
    data = np.empty(int((spans[:, 1] - spans[:, 0]).sum(dtype=np.int64)), np.uint8)
    fill_texts(rows, column, quote, ends, data)
    return ends, data[: ends[-1]]


KERNELS: list[Callable[..., Any]] = [
    *(parse_integer, infinity_in_field, _kinds),
    *(_fill_integers, _fill_floats, fill_values, fill_texts),
]
