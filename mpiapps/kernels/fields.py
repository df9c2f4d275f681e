"""The fields of one column of CSV, found 64 bytes at a time; one process.

Delimiters, line ends and quotes are bits of 64-bit words, as in G. Langdale and D.
Lemire, Parsing gigabytes of JSON per second, VLDB Journal 28 (2019). Which quotes are
special depends on the bytes before them (see `records`), so quotes are followed one by
one, in the words that have any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import uint8, uint64

from mpiapps.kernels.bits import (
    WORD_BYTES,
    copy_rest,
    count_ones,
    matches,
    read_byte,
    trailing_zeros,
)
from mpiapps.kernels.jit import inline, kernel
from mpiapps.kernels.records import (
    CLOSED,
    FIELD,
    NEWLINE,
    PLAIN,
    QUOTED,
    RECORD,
    RETURN,
)

# Indices of the state between blocks: the lexer state of the next byte, the index of
# its field, the first byte of its record and of the column's field that is open, from
# the start of the next block, the file offsets of that and of the last opening quote,
# and the last byte.
WHERE, FIELD_INDEX, START, BEGIN, BASE, OPENED, LAST = range(7)
STATE_LENGTH = 7
SKIPPED = -(2**62)  # field index in a record of the previous segment
MIN_RECORD_BYTES = 2  # of a record that is not a blank line


@inline
def lowest(word: Any) -> Any:
    """Return the lowest one of a uint64 alone."""
    return word & (~word + uint64(1))


@inline
def above(bit: Any) -> Any:
    """Return the bits above one bit."""
    return ~(bit | (bit - uint64(1)))


@inline
def _masks(text: Any, i: Any, delimiter: Any, quote: Any) -> Any:
    """Return the line ends, delimiters and quotes of 64 bytes."""
    quotes = matches(text, i, uint8(quote & 255)) if quote >= 0 else uint64(0)
    lines = matches(text, i, uint8(NEWLINE))
    return lines, matches(text, i, uint8(delimiter)), quotes


@kernel
def follow_quotes(
    quotes: Any, separators: Any, quoted: bool, opens: Any, closed: Any
) -> tuple[Any, Any, bool, int]:
    """Return the effect of quotes in 64 bytes.

    Parameters
    ----------
    quotes, separators : uint64
        Separators inside quotes may be among them.
    quoted : bool
        Whether the first byte is inside quotes.
    opens, closed : uint64
        Whether a quote as first byte opens a field or continues one that a quote has
        closed, and whether the latter; 0 or 1.

    Returns
    -------
    inside : uint64
        The bytes inside quotes.
    closes : uint64
        Quotes that close a field unless another one follows.
    quoted : bool
        Whether the next byte is inside quotes.
    opened : int
        The last quote that opens a field, or -1.
    """
    special = (separators << uint64(1)) | opens
    inside, closes, opened = uint64(0), uint64(0), -1
    rest = ~uint64(0)  # bytes that are not decided
    while True:
        found = quotes & rest if quoted else quotes & rest & special
        if found == 0:
            break
        bit = lowest(found)
        if quoted:
            inside |= rest & (bit - uint64(1))
            closes |= bit
            special |= bit << uint64(1)
        elif bit & ((closes << uint64(1)) | closed) == 0:
            opened = trailing_zeros(bit)
        quoted = not quoted
        rest = above(bit)
    if quoted:
        inside |= rest
    return inside, closes, quoted, opened


@inline
def _is_blank(text: Any, start: Any, end: Any, last: Any) -> Any:
    """Return whether a record is a blank line."""
    length = end - start
    first = int(read_byte(text, start)) if start >= 0 else last
    return length == 0 or (length == 1 and first == RETURN)


@kernel
def find_fields(  # noqa: PLR0912, PLR0915 - parts of the loop would pass its ten variables
    block: np.ndarray,
    options: tuple[int, int, int, bool],
    state: np.ndarray,
    spans: np.ndarray,
) -> int:
    """Find the fields of one column that end in a block.

    Parameters
    ----------
    block : ndarray of uint8, contiguous
    options : tuple
        Index of the column, delimiter, quote or -1, and whether to stop at the end of
        the first record.
    state : ndarray of int64, (STATE_LENGTH,)
        Updated.
    spans : ndarray of int32, (n // MIN_RECORD_BYTES + 1, 2)
        Filled: first byte of each field, and the byte after it, with quotes; 0 and 0
        for a record that has no such field. The first field begins at 0 if it is open
        at the start of the block.

    Returns
    -------
    int
        Number of records that end, without blank lines.
    """
    column, delimiter, quote, once = options
    where, field, start = state[WHERE], state[FIELD_INDEX], state[START]
    quoted, closed = where == QUOTED, uint64(where == CLOSED)
    opens = uint64(where != PLAIN)
    begin, rows, n = 0, 0, len(block)
    padded = np.zeros(WORD_BYTES, np.uint8)
    text = block.ctypes.data
    for i in range(0, n, WORD_BYTES):
        if i + WORD_BYTES <= n:
            lines, delimiters, quotes = _masks(text, i, delimiter, quote)
        else:
            copy_rest(block, i, padded)
            lines, delimiters, quotes = _masks(padded.ctypes.data, 0, delimiter, quote)
        last_bit = uint64(min(WORD_BYTES, n - i) - 1)
        ends = lines | delimiters
        if quotes != 0 or quoted:
            inside, closes, quoted, opened = follow_quotes(
                quotes, ends, quoted, opens, closed
            )
            lines &= ~inside
            delimiters &= ~inside
            ends = lines | delimiters | closes
            closed = (closes >> last_bit) & uint64(1)
            if opened >= 0:
                state[OPENED] = state[BASE] + i + opened
        else:
            closed = uint64(0)
        opens = (ends >> last_bit) & uint64(1)
        while True:
            line = lowest(lines)
            if field < column:
                before = delimiters & (line - uint64(1))
                count = count_ones(before)
                if field + count >= column:
                    for _ in range(column - field - 1):
                        before &= before - uint64(1)
                    bit = lowest(before)
                    begin, field = i + trailing_zeros(bit) + 1, column
                    delimiters &= above(bit)
                    continue
                if line == 0:
                    field += count
                    break
                end = i + trailing_zeros(line)
                if field >= 0 and not _is_blank(text, start, end, state[LAST]):
                    spans[rows, 0], spans[rows, 1] = 0, 0
                    rows += 1
            elif field == column:
                bit = lowest(lines | delimiters)
                if bit == 0:
                    break
                end = i + trailing_zeros(bit)
                if bit != line or not _is_blank(text, start, end, state[LAST]):
                    spans[rows, 0], spans[rows, 1] = begin, end
                    rows += 1
                if bit != line:
                    delimiters ^= bit
                    field += 1
                    continue
            elif line == 0:
                break
            lines ^= line
            delimiters &= above(line)
            field, begin = 0, i + trailing_zeros(line) + 1
            start = begin
            if once:
                state[WHERE], state[FIELD_INDEX] = RECORD, 0
                return rows
    if n:
        last = int(block[n - 1])
        where = FIELD if last == delimiter else PLAIN
        where = RECORD if last == NEWLINE else where
        where = CLOSED if closed != 0 else where
        state[WHERE] = QUOTED if quoted else where
        state[FIELD_INDEX], state[LAST] = field, last
        state[START], state[BEGIN] = start - n, begin
        state[BASE] += n
    return rows


KERNELS: list[Callable[..., Any]] = [find_fields]
