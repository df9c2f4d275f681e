"""One column of CSV as numbers; one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import uint8

from mpiapps.kernels.jit import inline, kernel

QUOTE, NEWLINE, RETURN = 34, 10, 13
EXACT = 2**53  # integers up to here, and powers of ten up to this one, are exact
POWERS = 10.0 ** np.arange(23)
NONE = -(2**62)  # in place of a power


@inline
def _digit(c: Any) -> Any:
    return uint8(c - uint8(48)) <= uint8(9)


@kernel
def count_quotes(block: np.ndarray) -> int:
    """Return the number of double quotes in `block`, uint8. Local."""
    found = 0
    for j in range(len(block)):
        found += block[j] == QUOTE
    return found


@kernel
def end_of_record(block: np.ndarray, quoted: bool) -> tuple[int, bool]:
    """Return the place behind the first line end outside quotes, or -1. Local.

    And whether the block ends inside quotes.
    """
    for i in range(len(block)):
        if block[i] == QUOTE:
            quoted = not quoted
        elif block[i] == NEWLINE and not quoted:
            return i + 1, False
    return -1, quoted


@kernel
def _mantissa(block: np.ndarray, i: int, stop: int) -> tuple[int, int, int]:
    """Return the digits as one integer, how many stand behind the point, and the place.

    -1 if there are none, or too many for an integer.
    """
    value, digits, places, point, seen = 0, 0, 0, False, False
    while i < stop and digits <= 18:
        c = block[i]
        if _digit(c):
            seen = True
            digits += digits > 0 or c != 48
            value = value * 10 + (int(c) - 48)
            places += point
        elif c == 46 and not point:
            point = True
        else:
            break
        i += 1
    return (value if seen and digits <= 18 else -1), places, i


@kernel
def _exponent(block: np.ndarray, i: int, stop: int) -> int:
    """Return the power behind an e; `NONE` if that is not what there is."""
    if block[i] not in {69, 101}:
        return NONE
    i += 1
    down = i < stop and block[i] == 45
    if i < stop and block[i] in {43, 45}:
        i += 1
    if i == stop:
        return NONE
    power = 0
    while i < stop:
        if not _digit(block[i]):
            return NONE
        power = min(9999, power * 10 + (int(block[i]) - 48))
        i += 1
    return -power if down else power


@kernel
def _number(block: np.ndarray, i: int, stop: int) -> float:
    """Return the number that is all of ``block[i:stop]``, else NaN.

    Exact where an integer below 2**53 and a power of ten up to 22 say so (W. D.
    Clinger, How to read floating point numbers accurately, PLDI 1990); infinity tells
    that it must be read another way.
    """
    negative = block[i] == 45
    if block[i] in {43, 45}:
        i += 1
    value, places, i = _mantissa(block, i, stop)
    if value < 0:
        return np.inf
    power = _exponent(block, i, stop) if i < stop else 0
    if power == NONE:
        return np.nan
    power -= places
    if value > EXACT or abs(power) > 22:
        return np.inf
    found: float = value * POWERS[power] if power >= 0 else value / POWERS[-power]
    return -found if negative else found


@kernel
def _field(
    block: np.ndarray, start: int, column: int, delimiter: int
) -> tuple[int, int, int]:
    """Return where a field of the record from `start` on lies, and the record's end.

    The field is empty if the record has too few; the end is that of the block if the
    record has none in it.
    """
    field, quoted, begin, end, i = 0, False, start, -1, start
    while i < len(block):
        c = block[i]
        if c == QUOTE:
            quoted = not quoted
        elif not quoted and c in {delimiter, NEWLINE}:
            if field == column:
                end = i
            field += 1
            if c == NEWLINE:
                break
            if field == column:
                begin = i + 1
        i += 1
    if i == len(block) and field == column:
        end = i
    return begin, end, i


@kernel
def _spans(
    block: np.ndarray, column: int, delimiter: int, last: bool, spans: np.ndarray
) -> tuple[int, int]:
    """Fill where the fields of one column lie; return how many, and the bytes used."""
    n, i, row = len(block), 0, 0
    while i < n and row < len(spans):
        begin, end, stop = _field(block, i, column, delimiter)
        if stop == n and not last:
            break
        if not (stop == i or (stop == i + 1 and block[i] == RETURN)):
            while end > begin and block[end - 1] in {32, 9, RETURN, QUOTE}:
                end -= 1
            while end > begin and block[begin] in {32, 9, QUOTE}:
                begin += 1
            spans[row, 0], spans[row, 1] = begin, end
            row += 1
        i = stop + 1
    return row, min(i, n)


@kernel
def _numbers(block: np.ndarray, spans: np.ndarray, values: np.ndarray) -> None:
    """Fill the numbers in spans."""
    for row in range(len(spans)):
        begin, end = spans[row]
        values[row] = _number(block, begin, end) if end > begin else np.nan


def column(
    block: np.ndarray, number: int, delimiter: str = ",", last: bool = True
) -> tuple[np.ndarray, int]:
    """Return the numbers in one column of the records of a block. Local.

    Parameters
    ----------
    block : ndarray of uint8
        Begins with a record; each ends with a newline outside of quotes.
    number : int
        Of the column, from 0.
    delimiter : str
        One character of ASCII.
    last : bool
        A record at the end of the block is whole without a newline; else it is left.

    Returns
    -------
    values : ndarray of float64
        One for each record; NaN where there is no number. Blank lines are no records.
    used : int
        Bytes that were read.
    """
    parts, used = [], 0
    rows = max(16, len(block) // 16)
    while True:
        spans, rest = np.empty((rows, 2), np.int64), block[used:]
        n, more = _spans(rest, number, ord(delimiter), last, spans)
        values = np.empty(n)
        _numbers(rest, spans[:n], values)
        for row in np.flatnonzero(np.isinf(values)):
            text = rest[slice(*spans[row])].tobytes()
            try:
                values[row] = float(text)
            except ValueError:
                values[row] = np.nan
        parts.append(values)
        used += more
        if n < rows:
            return np.concatenate(parts), used


KERNELS: list[Callable[..., Any]] = [_spans, _numbers, count_quotes, end_of_record]
