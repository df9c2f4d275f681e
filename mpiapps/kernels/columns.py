"""Incremental parser of the numbers in one column of CSV."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from mpiapps.kernels.bits import read_byte
from mpiapps.kernels.fields import (
    BASE,
    BEGIN,
    FIELD_INDEX,
    MIN_RECORD_BYTES,
    OPENED,
    SKIPPED,
    STATE_LENGTH,
    WHERE,
    find_fields,
)
from mpiapps.kernels.jit import kernel
from mpiapps.kernels.number import parse_number
from mpiapps.kernels.records import (
    NEWLINE,
    OPEN_QUOTE,
    QUOTED,
    RECORD,
    Dialect,
)
from mpiapps.kernels.utf8 import separates

MAX_FIELD_BYTES = 2**16  # of a field that spans blocks; a longer one is not a number


@kernel
def number_in_field(text: Any, begin: int, end: int, quote: int) -> tuple[float, bool]:
    """Return the number in a field or NaN, and whether Python must parse it."""
    quoted = end > begin and read_byte(text, begin) == quote
    while end > begin and separates(read_byte(text, end - 1)):
        end -= 1
    if quoted:
        if end < begin + 2 or read_byte(text, end - 1) != quote:
            return np.nan, True  # text follows the closing quote
        begin, end = begin + 1, end - 1
        while end > begin and separates(read_byte(text, end - 1)):
            end -= 1
    while begin < end and separates(read_byte(text, begin)):
        begin += 1
    return parse_number(text, begin, end)


@kernel
def _parse(
    block: np.ndarray, spans: np.ndarray, quote: int, values: np.ndarray, first: int
) -> int:
    """Fill the numbers of fields, NaN for others, from the index `first` on.

    Return the index of the next field that Python must parse, or their number.
    """
    text = block.ctypes.data
    for n in range(first, len(values)):
        begin, end = int(spans[n, 0]), int(spans[n, 1])
        values[n], undecided = number_in_field(text, begin, end, quote)
        if undecided:
            return n
    return len(values)


class ColumnParser:
    """Parser of the numbers of one column in consecutive blocks.

    Parameters
    ----------
    column : int
        Index of the column, from 0.
    dialect : Dialect
    where : int
        Lexer state of the first byte; unless `RECORD`, its record is skipped.
    offset : int
        File offset of the first byte.
    """

    def __init__(
        self, column: int, dialect: Dialect, where: int = RECORD, offset: int = 0
    ) -> None:
        self._column, self._dialect = column, dialect
        self._spans = np.empty((0, 2), np.int32)
        self._held = b""  # of a field of the column that continues in the next block
        self._state = np.zeros(STATE_LENGTH, np.int64)
        self._state[WHERE], self._state[BASE] = where, offset
        if where != RECORD:
            self._state[FIELD_INDEX] = SKIPPED

    def skip(self, n: int) -> None:
        """Pass bytes between two blocks, after the end of a record."""
        self._state[BASE] += n

    @property
    def open(self) -> bool:
        """Whether a record that is not skipped has begun, and not ended."""
        return bool(self._state[WHERE] != RECORD and self._state[FIELD_INDEX] >= 0)

    def numbers(self, block: np.ndarray, once: bool = False) -> np.ndarray:
        """Return the numbers of the fields of the column that end in a block.

        A field that is not a finite number is NaN. Blank lines are not records.

        Parameters
        ----------
        block : ndarray of uint8
        once : bool
            Whether to stop at the end of the open record.
        """
        room = len(block) // MIN_RECORD_BYTES + 1
        if len(self._spans) < room:
            self._spans = np.empty((room, 2), np.int32)
        options = (self._column, *self._dialect, once)
        values = np.empty(find_fields(block, options, self._state, self._spans))
        spans, first = self._spans[: len(values)], 0
        if self._held and len(spans) and spans[0, 0] == 0:
            raw = self._held + block[: spans[0, 1]].tobytes()
            too_long = len(raw) > MAX_FIELD_BYTES
            values[0] = math.nan if too_long else parse_field(raw, self._dialect)
            first = 1
        quote = self._dialect.quote
        while (n := _parse(block, spans, quote, values, first)) < len(spans):
            raw = block[spans[n, 0] : spans[n, 1]].tobytes()
            values[n] = parse_field(raw, self._dialect)
            first = n + 1
        self._hold(block)
        return values

    def _hold(self, block: np.ndarray) -> None:
        """Keep the bytes of a field of the column that continues in the next block."""
        begin = self._state[BEGIN]
        if not self.open or self._state[FIELD_INDEX] != self._column:
            self._held = b""
        elif begin > 0:
            self._held = block[begin:].tobytes()
        elif len(self._held) <= MAX_FIELD_BYTES:
            self._held += block.tobytes()

    def end(self) -> np.ndarray:
        """Return the number of a last record without a newline, if there is one.

        Raises
        ------
        ValueError
            If a quote is open.
        """
        if self.open and self._state[WHERE] == QUOTED:
            raise ValueError(OPEN_QUOTE.format(self._state[OPENED]))
        return self.numbers(np.full(int(self.open), NEWLINE, np.uint8))


def parse_field(raw: bytes, dialect: Dialect) -> float:
    """Return the finite number in a field, else NaN.

    Equivalent to the kernels, and also handles the cases that they do not.
    """
    text = unquote(raw, dialect)
    try:
        value = math.nan if b"_" in text else float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def unquote(raw: bytes, dialect: Dialect) -> bytes:
    """Return the text of a field, as `csv`: without quotes that begin and end it."""
    if dialect.quote < 0:
        return raw
    mark = bytes([dialect.quote])
    quote = re.escape(mark)
    match = re.fullmatch(b"%b((?:[^%b]|%b%b)*)%b(.*)" % ((quote,) * 5), raw, re.DOTALL)
    return match[1].replace(mark * 2, mark) + match[2] if match else raw


KERNELS: list[Callable[..., Any]] = [find_fields, _parse]
