"""Segments of compressed files: each has windows of the content.

Content cannot be decompressed from the middle. So each rank that has a segment of a
compressed file decompresses all of it, but processes only the records that begin in its
own windows. Idle ranks lose nothing by this. Ranks exchange nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from mpiapps.fileops.segments import Segment
from mpiapps.kernels.records import (
    FIELD,
    NEWLINE,
    PLAIN,
    RECORD,
    STATES,
    Dialect,
    advance_quote_states,
    find_record_end,
)

WINDOW_BYTES = 2**20  # of content
GOLDEN = 0x9E3779B97F4A7C15  # 2**64 times the fractional part of the golden ratio


def has_window(segment: Segment, window: int) -> bool:
    """Return whether a window belongs to a segment of a compressed file.

    Multiples of the golden ratio spread the windows evenly over the file, so that each
    segment has as large a part of them as of its bytes.
    """
    point = (window * GOLDEN % 2**64) * segment.size >> 64
    return segment.start <= point < segment.stop


class RecordEnds(Protocol):
    """The ends of records in consecutive bytes."""

    def skip(self, block: np.ndarray) -> None:
        """Pass bytes, at least one."""

    def find(self, block: np.ndarray) -> int:
        """Pass bytes up to the first end; return the index after it, -1 without one."""


class SeparatorEnds:
    """The ends of records in consecutive bytes: a separator of one byte.

    Parameters
    ----------
    find_separator : callable
        Given bytes, returns the index after the first separator, or -1.
    """

    def __init__(self, find_separator: Callable[[bytes], int]) -> None:
        self._find_separator = find_separator

    def skip(self, block: np.ndarray) -> None:
        """Pass bytes, at least one."""

    def find(self, block: np.ndarray) -> int:
        """Pass bytes up to the first end; return the index after it, -1 without one."""
        return self._find_separator(block.tobytes())


class CSVEnds:
    """The ends of records of CSV; the first byte begins a record."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect, self._previous = dialect, NEWLINE
        self._states = np.array([PLAIN])  # as of `advance_quote_states`

    def skip(self, block: np.ndarray) -> None:
        """Pass bytes, at least one."""
        if self._dialect.quote >= 0:
            advance_quote_states(block, self._previous, *self._dialect, self._states)
        self._previous = int(block[-1])

    def find(self, block: np.ndarray) -> int:
        """Pass bytes up to the first end; return the index after it, -1 without one."""
        (state,) = self._states.tolist()
        if state == PLAIN:
            begins = {NEWLINE: RECORD, self._dialect.delimiter: FIELD}
            state = begins.get(self._previous, PLAIN)
        end, state = find_record_end(block, state, *self._dialect)
        self._states[0] = state if state in STATES else PLAIN
        self._previous = int(block[max(end, 0) - 1])  # the last one without an end
        return end


def own_records(
    blocks: Iterator[np.ndarray],
    segment: Segment,
    ends: RecordEnds,
    offset: int = 0,
    window: int = 0,
) -> Iterator[tuple[int | None, np.ndarray]]:
    """Yield the bytes of the records that begin in a segment's windows.

    Parameters
    ----------
    blocks : iterator of ndarray of uint8
        The content of the compressed file, from the start of a record on.
    segment : Segment
    ends : RecordEnds
    offset : int
        Of the first byte in the content.
    window : int
        Bytes of a window; 0: `WINDOW_BYTES`, and a whole file is not divided.

    Yields
    ------
    gap : int or None
        At the first record of a window, the bytes since the last block; else None.
    block : ndarray of uint8
        Valid until the next one.
    """
    if segment.whole and not window:
        yield from ((None, block) for block in blocks)
        return
    window = window or WINDOW_BYTES
    gap, limit, own = 0, offset, False
    found = True  # a window begins
    for block in blocks:
        rest = block
        while len(rest):
            if found:
                own = has_window(segment, offset // window)
                limit = (offset // window + 1) * window
            begins, found = found, False
            # The byte before the limit may end the last record.
            if offset < limit - 1:
                n = min(len(rest), limit - 1 - offset)
                ends.skip(rest[:n])
            else:
                end = ends.find(rest)
                found = end > 0
                n = end if found else len(rest)
            if own:
                yield gap if begins else None, rest[:n]
            gap = 0 if own else gap + n
            offset, rest = offset + n, rest[n:]
