"""The numbers of several columns of CSV; one process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from mpiapps.kernels.bits import read_byte
from mpiapps.kernels.columns import number_in_field, parse_field
from mpiapps.kernels.jit import kernel
from mpiapps.kernels.records import Dialect
from mpiapps.kernels.rows import Rows
from mpiapps.kernels.utf8 import separates

MISSING, INVALID = math.nan, math.inf  # values of fields that are not finite numbers
MISSING_VALUES = ("", "na", "n/a", "nan", "null", "none", "-", "?")
MAX_TEXT = 60  # characters of an invalid field in a message
MAX_MISSING_BYTES = max(map(len, MISSING_VALUES))


def packed(text: str) -> int:
    """Return the bytes of a text as one integer."""
    return int.from_bytes(text.encode(), "big")


PACKED_MISSING = np.array([packed(text) for text in MISSING_VALUES], np.int64)


@kernel
def bare_field(text: Any, begin: int, end: int, quote: int) -> tuple[int, int]:
    """Return the bounds of a field without quotes and blanks around it."""
    quoted = end > begin and read_byte(text, begin) == quote
    while end > begin and separates(read_byte(text, end - 1)):
        end -= 1
    if quoted and end > begin + 1 and read_byte(text, end - 1) == quote:
        begin, end = begin + 1, end - 1
        while end > begin and separates(read_byte(text, end - 1)):
            end -= 1
    while begin < end and separates(read_byte(text, begin)):
        begin += 1
    return begin, end


@kernel
def packed_lower(text: Any, begin: int, end: int) -> int:
    """Return up to 8 bytes as one integer, ASCII letters as small ones."""
    packed = 0
    for i in range(begin, end):
        byte = int(read_byte(text, i))
        packed = packed << 8 | (byte + 32 if 65 <= byte <= 90 else byte)
    return packed


@kernel
def is_missing(text: Any, begin: int, end: int, quote: int) -> bool:
    """Return whether a field is one of `MISSING_VALUES` in any case, with blanks."""
    begin, end = bare_field(text, begin, end, quote)
    if end - begin > MAX_MISSING_BYTES:
        return False
    lower = packed_lower(text, begin, end)
    found = False
    for value in PACKED_MISSING:
        found |= lower == value
    return found


@kernel
def parse_fields(
    rows: Rows, quote: int, reported: np.ndarray, values: np.ndarray, at: np.ndarray
) -> bool:
    """Fill the values of the fields of records, from a field on.

    Parameters
    ----------
    rows : Rows
    quote : int
        The quote, or -1.
    reported : ndarray of bool, (columns,)
        Whether to fill `INVALID` for fields that are not numbers, instead of returning.
    values : ndarray of float64, (columns, room)
    at : ndarray of int64, (3,)
        Column and record of the first field, updated; index in `values` of the first
        record.

    Returns
    -------
    bool
        Whether Python must parse the field `at`; else all are filled.
    """
    text = rows.buffer.ctypes.data
    while at[0] < len(rows.order):
        column, first = at[0], at[2]
        spans = rows.spans[rows.order[column]]
        for n in range(at[1], rows.records):
            begin, end = int(spans[n, 0]), int(spans[n, 1])
            value, undecided = number_in_field(text, begin, end, quote)
            if np.isnan(value) and is_missing(text, begin, end, quote):
                undecided = False
            elif np.isnan(value) and not undecided:
                value, undecided = np.inf, not reported[column]
            values[column, first + n] = value
            if undecided:
                at[1] = n
                return True
        at[0], at[1] = column + 1, 0
    return False


class NumberParser:
    """Parser of the numbers in records.

    Parameters
    ----------
    columns : int
        Number of columns.
    dialect : Dialect
    room : int
        Records of one result.

    Attributes
    ----------
    invalid : list of (int, str) or None
        File offset and text of the first field of each column that is neither a finite
        number nor missing.
    """

    def __init__(self, columns: int, dialect: Dialect, room: int) -> None:
        self._dialect = dialect
        self._values, self._filled = np.empty((columns, room)), 0
        self.invalid: list[tuple[int, str] | None] = [None] * columns

    def arrays(self, results: Iterable[tuple[int, Rows]]) -> Iterator[np.ndarray]:
        """Yield arrays of values, (columns, records); valid until the next one.

        Parameters
        ----------
        results : iterable
            Records, and the file offset of their buffer; at most `room` at once.
        """
        for offset, rows in results:
            if self._filled + rows.records > self._values.shape[1]:
                yield self._take()
            self._parse(rows, offset)
            self._filled += rows.records
        if self._filled:
            yield self._take()

    def _take(self) -> np.ndarray:
        n, self._filled = self._filled, 0
        return self._values[:, :n]

    def _parse(self, rows: Rows, offset: int) -> None:
        at, values = np.array([0, 0, self._filled]), self._values
        reported = np.array([each is not None for each in self.invalid])
        while parse_fields(rows, self._dialect.quote, reported, values, at):
            column, n, first = at.tolist()
            begin, end = rows.spans[rows.order[column], n].tolist()
            raw = rows.buffer[begin:end].tobytes()
            value = parse_field(raw, self._dialect)
            if math.isnan(value):
                value = INVALID
                if not reported[column]:
                    reported[column] = True
                    text = raw.rstrip(b"\r").decode(errors="backslashreplace")
                    self.invalid[column] = offset + begin, text[:MAX_TEXT]
            values[column, first + n] = value
            at[1] += 1


KERNELS: list[Callable[..., Any]] = [parse_fields]
