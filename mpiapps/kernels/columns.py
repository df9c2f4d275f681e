"""Incremental parser of the numbers in one column of CSV."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mpiapps.kernels.jit import kernel
from mpiapps.kernels.number import parse_number
from mpiapps.kernels.records import (
    CLOSED,
    FIELD,
    NEWLINE,
    PLAIN,
    QUOTED,
    RECORD,
    RETURN,
    Dialect,
    advance_quote_states,
    find_record_end,
)
from mpiapps.kernels.utf8 import separates

MAX_FIELD_BYTES = 2**16  # of a field that spans blocks; a longer one is not a number
MIN_ROOM = 256  # numbers in an output array
# Indices of the parser's state between blocks: the lexer state and the field index of
# the next byte, the number of held bytes of that field, whether the field is too long,
# the file offsets of the block, of the current record and of the last opening quote,
# the last byte of the previous block, and the position in the block.
WHERE, FIELD_INDEX, HELD, TOO_LONG, BASE, START, OPENED, LAST, POSITION = range(9)
SKIPPED = -(2**62)  # field index in a record of the previous segment
ALL, FULL, HARD, ENDED = 0, 1, 2, 3  # reasons why `_parse` returned


@kernel
def _value(field: np.ndarray, quote: int) -> tuple[float, bool]:
    """Return the number in a field or NaN, and whether Python must parse it."""
    begin, end = 0, len(field)
    quoted = end > 0 and field[0] == quote
    while end > begin and separates(field[end - 1]):
        end -= 1
    if quoted:
        if end < 2 or field[end - 1] != quote:
            return np.nan, True  # text follows the closing quote
        begin, end = 1, end - 1
    while end > begin and separates(field[end - 1]):
        end -= 1
    while begin < end and separates(field[begin]):
        begin += 1
    return parse_number(field, begin, end)


@kernel
def _hold(block: np.ndarray, held: np.ndarray, state: np.ndarray) -> None:
    """Append bytes of a field to the held bytes."""
    count = state[HELD]
    if count + len(block) > len(held):
        state[TOO_LONG] = 1
        return
    held[count : count + len(block)] = block
    state[HELD] += len(block)


@kernel
def _end_field(
    block: np.ndarray, quote: int, state: np.ndarray, held: np.ndarray
) -> tuple[float, bool]:
    """Return the number in a field that ends here; hold it if Python must parse it."""
    if state[HELD] == 0 and state[TOO_LONG] == 0:
        value, hard = _value(block, quote)
        if hard:
            _hold(block, held, state)
    else:
        _hold(block, held, state)
        value, hard = _value(held[: state[HELD]], quote)
    if state[TOO_LONG] != 0:
        value, hard = np.nan, False
    if not hard:
        state[HELD], state[TOO_LONG] = 0, 0
    return value, hard


@kernel
def _is_blank(block: np.ndarray, i: int, state: np.ndarray) -> bool:
    """Return whether the record that ends at `i`, of one field, is a blank line."""
    length = state[BASE] + i - state[START]
    previous = int(block[i - 1]) if i > 0 else state[LAST]
    return bool(length == 0 or (length == 1 and previous == RETURN))


@kernel
def _parse(  # noqa: PLR0912 - a state machine: a branch for each state
    block: np.ndarray,
    options: tuple[int, int, int, bool],
    state: np.ndarray,
    held: np.ndarray,
    values: np.ndarray,
) -> tuple[int, int]:
    """Fill the numbers of one column; return the reason of the end, and their count.

    `ALL`: the block is parsed; `FULL`: no room for values; `HARD`: Python must parse
    the last field, which is held; `ENDED`: end of a record, with `once` in the options.
    Parsing continues at ``state[POSITION]``.
    """
    column, delimiter, quote, once = options
    where, field, i = state[WHERE], state[FIELD_INDEX], state[POSITION]
    begin, rows, reason, n = i, 0, ALL, len(block)
    while i < n and reason == ALL:
        if where == QUOTED:
            while i < n and block[i] != quote:
                i += 1
            if i < n:
                where = CLOSED
                i += 1
            continue
        if where == RECORD:
            if rows == len(values):
                reason = FULL
                break
            state[START] = state[BASE] + i
        if where <= FIELD:
            begin = i
        if block[i] == quote and where != PLAIN:
            if where != CLOSED:
                state[OPENED] = state[BASE] + i
            where = QUOTED
            i += 1
            continue
        where = PLAIN
        while i < n and block[i] != delimiter and block[i] != NEWLINE:
            i += 1
        if i == n:
            break
        last = block[i] == NEWLINE
        if last and field == 0 and _is_blank(block, i, state):
            state[HELD] = 0
        elif field == column:
            values[rows], hard = _end_field(block[begin:i], quote, state, held)
            rows += 1
            reason = HARD if hard else ALL
        elif last and 0 <= field < column:
            values[rows] = np.nan
            rows += 1
        where = RECORD if last else FIELD
        field = 0 if last else field + 1
        i += 1
        if once and last and reason == ALL:
            reason = ENDED
    if i == n and field == column and where > FIELD:
        _hold(block[begin:], held, state)
    state[WHERE], state[FIELD_INDEX], state[POSITION] = where, field, i
    return reason, rows


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
        self._held = np.empty(MAX_FIELD_BYTES, np.uint8)
        self._state = np.zeros(9, np.int64)
        self._state[WHERE], self._state[BASE] = where, offset
        if where != RECORD:
            self._state[FIELD_INDEX] = SKIPPED

    @property
    def open(self) -> bool:
        """Whether a record that is not skipped has begun, and not ended."""
        return bool(self._state[WHERE] != RECORD and self._state[FIELD_INDEX] >= 0)

    def numbers(self, block: np.ndarray, once: bool = False) -> Iterator[np.ndarray]:
        """Yield arrays of the numbers of a block.

        A field that is not a finite number is NaN. Blank lines are not records.

        Parameters
        ----------
        block : ndarray of uint8
        once : bool
            Whether to stop at the end of the open record.
        """
        reason, self._state[POSITION] = FULL, 0
        options = (self._column, *self._dialect, once)
        while reason == FULL or (reason == HARD and (self.open or not once)):
            values = np.empty(max(MIN_ROOM, len(block) // 8))
            reason, n = _parse(block, options, self._state, self._held, values)
            if reason == HARD:
                raw = self._held[: self._state[HELD]].tobytes()
                values[n - 1] = parse_field(raw, self._dialect)
                self._state[HELD] = 0
            yield values[:n]
        self._state[BASE] += len(block)
        self._state[LAST] = block[-1] if len(block) else self._state[LAST]

    def end(self) -> Iterator[np.ndarray]:
        """Yield the number of a last record without a newline.

        Raises
        ------
        ValueError
            If a quote is open.
        """
        if self.open and self._state[WHERE] == QUOTED:
            raise ValueError(
                f"the quote at byte {self._state[OPENED]} is not closed; use --quote ''"
                " if quotes are ordinary characters"
            )
        if self.open:
            yield from self.numbers(np.full(1, NEWLINE, np.uint8))


def parse_field(raw: bytes, dialect: Dialect) -> float:
    """Return the finite number in a field, else NaN.

    Equivalent to the kernels, and also handles the cases that they do not.
    """
    quote = re.escape(bytes([dialect.quote])) if dialect.quote >= 0 else b"(?!)"
    match = re.fullmatch(b"%b((?:[^%b]|%b%b)*)%b(.*)" % ((quote,) * 5), raw, re.DOTALL)
    text = match[1].replace(quote * 2, quote) + match[2] if match else raw
    try:
        value = math.nan if b"_" in text else float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


KERNELS: list[Callable[..., Any]] = [_parse, advance_quote_states, find_record_end]
