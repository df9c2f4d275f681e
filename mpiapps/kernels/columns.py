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
def _number(  # noqa: PLR0911, PLR0912 - a state machine
    block: np.ndarray, i: int, stop: int, powers: np.ndarray
) -> float:
    """Return the number that is all of ``block[i:stop]``, else NaN.

    Exact where an integer below 2**53 and a power of ten up to 22 say so (W. D.
    Clinger, How to read floating point numbers accurately, PLDI 1990); infinity tells
    that it must be read another way.
    """
    negative = block[i] == 45
    if block[i] in {43, 45}:
        i += 1
    value, digits, point, places, seen = 0, 0, False, 0, False
    while i < stop:
        c = block[i]
        if _digit(c):
            seen = True
            digits += digits > 0 or c != 48
            if digits > 18:
                return np.inf
            value = value * 10 + (int(c) - 48)
            places += point
        elif c == 46 and not point:
            point = True
        else:
            break
        i += 1
    if not seen:
        return np.inf if i < stop else np.nan
    power = -places
    if i < stop:
        if block[i] not in {69, 101}:
            return np.nan
        i += 1
        down = i < stop and block[i] == 45
        if i < stop and block[i] in {43, 45}:
            i += 1
        if i == stop:
            return np.nan
        more = 0
        while i < stop:
            if not _digit(block[i]):
                return np.nan
            more = min(9999, more * 10 + (int(block[i]) - 48))
            i += 1
        power += -more if down else more
    if value > EXACT or abs(power) > 22:
        return np.inf
    found: float = value * powers[power] if power >= 0 else value / powers[-power]
    return -found if negative else found


@kernel
def _column(  # noqa: PLR0912, PLR0913, PLR0917 - a state machine over arrays
    block: np.ndarray,
    column: int,
    delimiter: int,
    last: bool,
    powers: np.ndarray,
    values: np.ndarray,
    places: np.ndarray,
) -> tuple[int, int]:
    """Fill the values of one column; return how many, and the bytes used."""
    n, i, row = len(block), 0, 0
    while i < n and row < len(values):
        field, start, stop = 0, i, i
        begin, end, quoted = 0, -1, False
        while stop < n:
            c = block[stop]
            if c == QUOTE:
                quoted = not quoted
            elif not quoted and c in {delimiter, NEWLINE}:
                if field == column:
                    begin, end = start, stop
                field += 1
                start = stop + 1
                if c == NEWLINE:
                    break
            stop += 1
        if stop == n:
            if not last:
                break
            if field == column:
                begin, end = start, n
        if not (stop - i == 0 or (stop - i == 1 and block[i] == RETURN)):
            while end > begin and block[end - 1] in {32, 9, RETURN, QUOTE}:
                end -= 1
            while end > begin and block[begin] in {32, 9, QUOTE}:
                begin += 1
            values[row] = np.nan
            if end > begin:
                values[row] = _number(block, begin, end, powers)
            places[row, 0], places[row, 1] = begin, end
            row += 1
        i = stop + 1
    return row, min(i, n)


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
        values, places = np.empty(rows), np.empty((rows, 2), np.int64)
        rest = block[used:]
        code = ord(delimiter)
        n, more = _column(rest, number, code, last, POWERS, values, places)
        for row in np.flatnonzero(np.isinf(values[:n])):
            text = rest[places[row, 0] : places[row, 1]].tobytes()
            try:
                values[row] = float(text)
            except ValueError:
                values[row] = np.nan
        parts.append(values[:n])
        used += more
        if n < rows:
            return np.concatenate(parts), used


KERNELS: list[Callable[..., Any]] = [_column, count_quotes, end_of_record]
