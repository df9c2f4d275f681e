"""Types of the fields of CSV columns, and fields as arrays of a type; one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
        more, n = _kinds(rows, column, dialect.quote, n + 1)
        kinds |= more | (TEXT if np.isnan(value) else DECIMAL)
    return int(kinds)


@kernel
def fill_integers(
    rows: Rows, column: int, quote: int, values: np.ndarray, valid: np.ndarray
) -> None:
    """Fill the integers of a column of the kind `INTEGER`, and which are not missing.

    Parameters
    ----------
    rows : Rows
    column : int
    quote : int
        The quote, or -1.
    values : ndarray of int64, (records,)
    valid : ndarray of bool, (records,)
    """
    text = rows.buffer.ctypes.data
    spans = rows.spans[rows.order[column]]
    for n in range(rows.records):
        bounds = bare_field(text, int(spans[n, 0]), int(spans[n, 1]), quote)
        kind, values[n] = parse_integer(text, *bounds)
        valid[n] = kind == INTEGER


@kernel
def fill_infinities(rows: Rows, column: int, quote: int, values: np.ndarray) -> None:
    """Give the infinities among the values of a column without texts their sign.

    Parameters
    ----------
    rows : Rows
    column : int
    quote : int
        The quote, or -1.
    values : ndarray of float64, (records,)
        Infinite where a field is not a finite number.
    """
    text = rows.buffer.ctypes.data
    spans = rows.spans[rows.order[column]]
    for n in range(rows.records):
        if np.isinf(values[n]):
            begin, end = int(spans[n, 0]), int(spans[n, 1])
            infinity = infinity_in_field(text, begin, end, quote)
            if not np.isnan(infinity):
                values[n] = infinity


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
    *(fill_integers, fill_infinities, fill_texts),
]
