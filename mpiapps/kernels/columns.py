"""One column of CSV as numbers, block by block, so that no byte is read again."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mpiapps.kernels.jit import kernel
from mpiapps.kernels.number import number
from mpiapps.kernels.records import (
    CLOSED,
    FIELD,
    NEWLINE,
    PLAIN,
    QUOTED,
    RECORD,
    RETURN,
    Form,
    end_of_record,
    pass_quotes,
)
from mpiapps.kernels.text import separates

HELD = 2**16  # bytes of a field that are kept from block to block; no number is longer
LEAST = 256  # numbers that there is room for
# What the parser knows between blocks: where the next byte stands, the number of its
# field, the bytes held of that field, whether they were too many, the bytes before the
# block, where the record and the last quotes began, the last byte, and the place in the
# block.
WHERE, NUMBER, KEPT, LONG, BASE, START, OPENED, LAST, PLACE = range(9)
SKIPPED = -(2**62)  # in place of a field's number, in a record that is not wanted
ALL, FULL, HARD, ENDED = 0, 1, 2, 3  # why `_parse` returned: all is parsed, ...


@kernel
def _value(field: np.ndarray, quote: int) -> tuple[float, bool]:
    """Return the number that a field is, else NaN, and whether Python must decide."""
    begin, end = 0, len(field)
    quoted = end > 0 and field[0] == quote
    while end > begin and separates(field[end - 1]):
        end -= 1
    if quoted:
        if end < 2 or field[end - 1] != quote:
            return np.nan, True  # something follows the quotes
        begin, end = 1, end - 1
    while end > begin and separates(field[end - 1]):
        end -= 1
    while begin < end and separates(field[begin]):
        begin += 1
    return number(field, begin, end)


@kernel
def _keep(block: np.ndarray, held: np.ndarray, state: np.ndarray) -> None:
    """Put bytes of a field behind those that are held."""
    kept = state[KEPT]
    if kept + len(block) > len(held):
        state[LONG] = 1
        return
    held[kept : kept + len(block)] = block
    state[KEPT] += len(block)


@kernel
def _take(
    block: np.ndarray, quote: int, state: np.ndarray, held: np.ndarray
) -> tuple[float, bool]:
    """Return the number that the rest of a field is; if Python must decide, hold it."""
    if state[KEPT] == 0 and state[LONG] == 0:
        value, hard = _value(block, quote)
        if hard:
            _keep(block, held, state)
    else:
        _keep(block, held, state)
        value, hard = _value(held[: state[KEPT]], quote)
    if state[LONG] != 0:
        value, hard = np.nan, False
    if not hard:
        state[KEPT], state[LONG] = 0, 0
    return value, hard


@kernel
def _is_blank(block: np.ndarray, i: int, state: np.ndarray) -> bool:
    """Return whether the record of one field that ends at `i` is a blank line."""
    length = state[BASE] + i - state[START]
    left = int(block[i - 1]) if i > 0 else state[LAST]
    return bool(length == 0 or (length == 1 and left == RETURN))


@kernel
def _parse(  # noqa: PLR0912 - a state machine: a branch for each state
    block: np.ndarray,
    want: tuple[int, int, int, bool],
    state: np.ndarray,
    held: np.ndarray,
    values: np.ndarray,
) -> tuple[int, int]:
    """Fill the numbers of one column; return why it ended, and how many there are.

    `FULL`: no room for values; `HARD`: Python must decide on the last one, which is
    held; `ENDED`: at the end of a record, if only one is wanted. In each case
    ``state[PLACE]`` is where to go on.
    """
    column, delimiter, quote, once = want
    where, field, i = state[WHERE], state[NUMBER], state[PLACE]
    begin, rows, why, n = i, 0, ALL, len(block)
    while i < n and why == ALL:
        if where == QUOTED:
            while i < n and block[i] != quote:
                i += 1
            if i < n:
                where = CLOSED
                i += 1
            continue
        if where == RECORD:
            if rows == len(values):
                why = FULL
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
            state[KEPT] = 0
        elif field == column:
            values[rows], hard = _take(block[begin:i], quote, state, held)
            rows += 1
            why = HARD if hard else ALL
        elif last and 0 <= field < column:
            values[rows] = np.nan
            rows += 1
        where = RECORD if last else FIELD
        field = 0 if last else field + 1
        i += 1
        if once and last and why == ALL:
            why = ENDED
    if i == n and field == column and where > FIELD:
        _keep(block[begin:], held, state)
    state[WHERE], state[NUMBER], state[PLACE] = where, field, i
    return why, rows


class Parser:
    """Reads the numbers of one column from blocks that follow each other. Local.

    Parameters
    ----------
    column : int
        Its number, from 0.
    form : Form
    where : int
        Where the first byte stands; unless `RECORD`, its record is not wanted.
    place : int
        Bytes of the file before it.
    """

    def __init__(
        self, column: int, form: Form, where: int = RECORD, place: int = 0
    ) -> None:
        self._column, self._form = column, form
        self._held = np.empty(HELD, np.uint8)
        self._state = np.zeros(9, np.int64)
        self._state[WHERE], self._state[BASE] = where, place
        if where != RECORD:
            self._state[NUMBER] = SKIPPED

    @property
    def open(self) -> bool:
        """Whether a record that is wanted has begun, and not ended."""
        return bool(self._state[WHERE] != RECORD and self._state[NUMBER] >= 0)

    def numbers(self, block: np.ndarray, once: bool = False) -> Iterator[np.ndarray]:
        """Yield the numbers of a block of uint8, some at a time.

        NaN where there is none, and for what is infinite. Blank lines are not records.

        Parameters
        ----------
        block : ndarray
            What follows the block before.
        once : bool
            Whether to end with the record that is open.
        """
        why, self._state[PLACE] = FULL, 0
        want = (self._column, *self._form, once)
        while why == FULL or (why == HARD and (self.open or not once)):
            values = np.empty(max(LEAST, len(block) // 8))
            why, n = _parse(block, want, self._state, self._held, values)
            if why == HARD:
                raw = self._held[: self._state[KEPT]].tobytes()
                values[n - 1] = number_of(raw, self._form)
                self._state[KEPT] = 0
            yield values[:n]
        self._state[BASE] += len(block)
        self._state[LAST] = block[-1] if len(block) else self._state[LAST]

    def end(self) -> Iterator[np.ndarray]:
        """Yield the number of a last record that no newline ends.

        Raises
        ------
        ValueError
            If a quote is open.
        """
        if self.open and self._state[WHERE] == QUOTED:
            raise ValueError(
                f"the quote at byte {self._state[OPENED]} is not closed; --quote ''"
                " reads quotes as any other character"
            )
        if self.open:
            yield from self.numbers(np.full(1, NEWLINE, np.uint8))


def number_of(raw: bytes, form: Form) -> float:
    """Return the number that the bytes of a field are, else NaN. Local.

    What the kernels do, but by Python, and also for the few that they leave.
    """
    quote = re.escape(bytes([form.quote])) if form.quote >= 0 else b"(?!)"
    found = re.fullmatch(b"%b((?:[^%b]|%b%b)*)%b(.*)" % ((quote,) * 5), raw, re.DOTALL)
    text = found[1].replace(quote * 2, quote) + found[2] if found else raw
    try:
        value = math.nan if b"_" in text else float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


KERNELS: list[Callable[..., Any]] = [_parse, pass_quotes, end_of_record]
