"""The fields of several columns of CSV, record by record; one process.

Blocks are cut at the ends of records, so the fields of a record are found together. For
one column alone `fields` is faster, since it needs no whole records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

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
from mpiapps.kernels.fields import above, follow_quotes, lowest
from mpiapps.kernels.jit import kernel
from mpiapps.kernels.records import (
    NEWLINE,
    OPEN_QUOTE,
    RETURN,
    Dialect,
)

MAX_RECORD_BYTES = 2**28
USED, OPENED = 0, 1  # indices of the second result of `find_rows`
NONE = 2**62  # index of a column that no record has


class Rows(NamedTuple):
    """Records in a buffer.

    Attributes
    ----------
    buffer : ndarray of uint8
    spans : ndarray of int32, (distinct columns, room, 2)
        First byte of each field, and the byte after it; see `find_rows`.
    records : int
        Number of records, at most `room`.
    order : ndarray of int64
        Index in `spans` of each column.
    """

    buffer: np.ndarray
    spans: np.ndarray
    records: int
    order: np.ndarray


@kernel
def _masks(text: Any, i: int, delimiter: int, quote: int) -> tuple[Any, Any, Any]:
    """Return the line ends, delimiters and quotes of 64 bytes."""
    quotes = matches(text, i, uint8(quote & 255)) if quote >= 0 else uint64(0)
    lines = matches(text, i, uint8(NEWLINE))
    return lines, matches(text, i, uint8(delimiter)), quotes


@kernel
def _is_blank(text: Any, start: int, end: int) -> bool:
    """Return whether a record is a blank line."""
    length = end - start
    return length == 0 or (length == 1 and read_byte(text, start) == RETURN)


@kernel
def find_rows(  # noqa: PLR0912, PLR0915 - parts of the loop would pass its ten variables
    block: np.ndarray,
    columns: np.ndarray,
    dialect: tuple[int, int],
    spans: np.ndarray,
    ends: np.ndarray,
) -> int:
    """Find the fields of some columns in the records that end in a block.

    Parameters
    ----------
    block : ndarray of uint8, contiguous
        Begins at the start of a record.
    columns : ndarray of int64
        Indices of columns, ascending; `NONE` follows the last one.
    dialect : tuple of int
        Delimiter, and quote or -1.
    spans : ndarray of int32, (len(columns) - 1, room, 2)
        Filled: first byte of each field, and the byte after it, with quotes; 0 and 0
        in a record without the field.
    ends : ndarray of int64, (2,)
        Filled: the byte after the last record; the last quote that opened a field.

    Returns
    -------
    int
        Number of records, without blank lines; at most `room`.
    """
    delimiter, quote = dialect
    n, room, text = len(block), spans.shape[1], block.ctypes.data
    quoted, closed, opens = False, uint64(0), uint64(1)
    rows, field, wanted, start, begin = 0, 0, 0, 0, 0
    column = columns[0]
    padded = np.zeros(WORD_BYTES, np.uint8)
    for i in range(0, n, WORD_BYTES):
        if i + WORD_BYTES <= n:
            lines, delimiters, quotes = _masks(text, i, delimiter, quote)
        else:
            copy_rest(block, i, padded)
            lines, delimiters, quotes = _masks(padded.ctypes.data, 0, delimiter, quote)
        found = lines | delimiters
        if quotes != 0 or quoted:
            inside, closes, quoted, opened = follow_quotes(
                quotes, found, quoted, opens, closed
            )
            lines &= ~inside
            delimiters &= ~inside
            found = lines | delimiters | closes
            closed = closes >> uint64(63)
            if opened >= 0:
                ends[OPENED] = i + opened
        else:
            closed = uint64(0)
        opens = found >> uint64(63)
        while True:
            line = lowest(lines)
            before = delimiters & (line - uint64(1))
            if field < column:
                count = count_ones(before)
                if field + count < column:  # the field is in none of these bytes
                    if line == 0:
                        field += count
                        break
                else:
                    for _ in range(column - field - 1):
                        before &= before - uint64(1)
                    bit = lowest(before)
                    begin, field = i + trailing_zeros(bit) + 1, column
                    delimiters &= above(bit)
                    continue
            elif before != 0:
                bit = lowest(before)
                end = i + trailing_zeros(bit)
                spans[wanted, rows, 0], spans[wanted, rows, 1] = begin, end
                delimiters ^= bit
                field, wanted, begin = field + 1, wanted + 1, end + 1
                column = columns[wanted]
                continue
            elif line == 0:
                break
            end = i + trailing_zeros(line)
            if not _is_blank(text, start, end):
                if field == column:
                    spans[wanted, rows, 0], spans[wanted, rows, 1] = begin, end
                    wanted += 1
                for k in range(wanted, len(columns) - 1):
                    spans[k, rows, 0], spans[k, rows, 1] = 0, 0
                rows += 1
            lines ^= line
            delimiters &= above(line)
            field, wanted, column = 0, 0, columns[0]
            start = begin = end + 1
            if rows == room:
                ends[USED] = start
                return rows
    ends[USED] = start
    return rows


class RowParser:
    """Parser of the fields of several columns in consecutive blocks.

    Parameters
    ----------
    columns : sequence of int
        Indices of the columns, from 0, in any order.
    dialect : Dialect
    room : int
        Maximum number of records of one result.
    offset : int
        File offset of the first byte, which begins a record.

    Attributes
    ----------
    offset : int
        File offset of the first byte of the last result.
    """

    def __init__(
        self, columns: Sequence[int], dialect: Dialect, room: int, offset: int = 0
    ) -> None:
        order, index = np.unique(columns, return_inverse=True)
        self._columns = np.append(order, NONE).astype(np.int64)
        self._index = index.astype(np.int64)
        self._dialect, self.offset = dialect, offset
        self._spans = np.empty((len(order), room, 2), np.int32)
        self._ends = np.zeros(2, np.int64)
        self._held = np.empty(0, np.uint8)  # of a record that has not ended
        self._parts: list[np.ndarray] = []  # what follows, not searched
        self._size = 0  # bytes of `_parts`

    def rows(self, block: np.ndarray, *, search_all: bool = False) -> Iterator[Rows]:
        """Yield the records that end in a block; valid until the next ones.

        `search_all`: whether all bytes are to be searched now.

        Raises
        ------
        ValueError
            If a record is longer than `MAX_RECORD_BYTES`.
        """
        self._size += len(block)
        if self._size < len(self._held) and not search_all:
            self._parts.append(block.copy())  # else a long record is searched often
            return
        buffer = np.concatenate([self._held, *self._parts, block])
        self._parts, self._size = [], 0
        room = self._spans.shape[1]
        while True:
            n = find_rows(buffer, self._columns, self._dialect, self._spans, self._ends)
            if n:
                yield Rows(buffer, self._spans, n, self._index)
            buffer = buffer[self._ends[USED] :]
            self.offset += int(self._ends[USED])
            if n < room:
                break
        self._held = buffer
        if len(buffer) > MAX_RECORD_BYTES:
            raise ValueError(
                f"a record is longer than {MAX_RECORD_BYTES} bytes; is a quote not"
                " closed?"
            )

    def open_bytes(self) -> np.ndarray:
        """Return the bytes of the record that has not ended."""
        return np.concatenate([self._held, *self._parts])

    def end(self) -> Iterator[Rows]:
        """Yield the last record, if it has no newline.

        Raises
        ------
        ValueError
            If a quote is open.
        """
        if not len(self.open_bytes()):
            return
        yield from self.rows(np.full(1, NEWLINE, np.uint8), search_all=True)
        if len(self._held):
            opened = self.offset + int(self._ends[OPENED] - self._ends[USED])
            raise ValueError(OPEN_QUOTE.format(opened))


KERNELS: list[Callable[..., Any]] = [find_rows]
