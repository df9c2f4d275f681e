"""Lines, words and characters of bytes, counted as by GNU wc; one process.

A word is a run of characters between separators that contains a printable character;
characters that are neither do not begin or end a word. In the C locale characters are
bytes, and those above 126 are not printable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import uint8, uint16

from mpiapps.kernels.character_scan import (
    INSIDE,
    OUTSIDE,
    UNKNOWN,
    Scanned,
    decode,
    scan,
    scan_bytes,
)
from mpiapps.kernels.characters import NARROW, kinds_of
from mpiapps.kernels.jit import kernel
from mpiapps.kernels.utf8 import (
    begins_with_separator,
    count_wide,
    printable_bits,
    separates,
)

CHUNK_BYTES = 4080  # of one vector loop; the counts fit 16 bits
PIECE_BYTES = 257  # of a chunk that is not plain ASCII: whole vectors, plus one byte
MAX_REFUSED = 2  # pieces in a row of a chunk, after which all of it goes by characters
Table = tuple[np.ndarray, np.ndarray]  # `kinds_of`, and `printable_bits` of them


class TextCounts(NamedTuple):
    """Counts of a block.

    Attributes
    ----------
    lines, words, characters, invalid : int
        Newlines; beginnings of words; characters; bytes that are not UTF-8.
    used : int
        Bytes counted; a character truncated by the end of the block is not.
    state : int
        `OUTSIDE` or `INSIDE` of a word at the end; `UNKNOWN` if the block has neither
        separators nor printable characters.
    joins : int
        1 if the state before the block was unknown and its first separator or
        printable character is printable: that word may continue from the block before.
    """

    lines: int
    words: int
    characters: int
    invalid: int
    used: int
    state: int
    joins: int


@kernel
def count_newlines(block: np.ndarray) -> int:
    """Return the number of newlines in `block`, uint8."""
    total, n, i = 0, len(block), 0
    while i < n:
        part = block[i : min(n, i + 65535)]
        count: Any = uint16(0)  # 16 bits: twice the vector lanes of 32 bits
        for j in range(len(part)):
            count = uint16(count + uint16(uint8(part[j] == uint8(10))))
        total += count
        i += 65535
    return total


@kernel
def _count_ascii(block: np.ndarray, inside: bool) -> tuple[int, int, int]:
    """Count lines, words, and bytes other than ASCII blanks or printable characters."""
    first = block[0]
    blank = separates(first)
    lines = int(first == 10)
    words = int(not inside and not blank)
    other = int(uint8(first - uint8(32)) > uint8(94) and not blank)
    current, previous = block[1:], block[:-1]
    more_lines: Any = uint16(0)
    more_words: Any = uint16(0)
    more_other: Any = uint16(0)
    for j in range(len(current)):
        c = current[j]
        blank, after_blank = separates(c), separates(previous[j])
        not_plain = uint8(uint8(c - uint8(32)) > uint8(94))
        more_lines = uint16(more_lines + uint16(uint8(c == uint8(10))))
        more_words = uint16(
            more_words + uint16(uint8(after_blank & (blank ^ uint8(1))))
        )
        more_other = uint16(more_other + uint16(uint8(not_plain & (blank ^ uint8(1)))))
    return lines + more_lines, words + more_words, other + more_other


@kernel
def _character_boundary(block: np.ndarray, begin: int, stop: int) -> int:
    """Return `stop`, or the start of the character that it cuts."""
    for n in range(4):
        boundary = stop - n
        if boundary <= begin or stop == len(block):
            break
        if block[boundary] & 0xC0 != 0x80:
            return boundary
    return stop


@kernel
def _count(block: np.ndarray, table: Table, wide: bool, state: int) -> Scanned:
    lines, words, characters, invalid, joins, i = 0, 0, 0, 0, 0, 0
    piece_stop, refused = 0, 0
    kinds, bits = table
    work = np.empty((3, CHUNK_BYTES + 8), np.uint8)
    while i < len(block):
        size = PIECE_BYTES if i < piece_stop else CHUNK_BYTES
        stop = min(len(block), i + size)
        inside = state == INSIDE
        more_lines, more_words, other = _count_ascii(block[i:stop], inside)
        more_characters, counted = stop - i, other == 0
        ends_inside = not separates(block[stop - 1])
        if other and wide:
            stop = _character_boundary(block, i, stop)
            counted, more_lines, more_words, more_characters, ends_inside = count_wide(
                block[i:stop], inside, bits, work
            )
        if counted:
            lines += more_lines
            words += more_words
            characters += more_characters
            joins += state == UNKNOWN and not begins_with_separator(block, i)
            state = INSIDE if ends_inside else OUTSIDE
            i = stop
            refused = 0
        elif size == CHUNK_BYTES:  # split the chunk to find its plain pieces
            piece_stop, refused = i + size, 0
        else:
            refused += 1
            if refused == MAX_REFUSED:  # few are plain: do not try the rest
                stop = min(len(block), piece_stop)
            more = (
                scan(block[i:], stop - i, kinds, state)
                if wide
                else scan_bytes(block[i:stop], kinds, state)
            )
            lines += more[0]
            words += more[1]
            characters += more[2]
            invalid += more[3]
            i += more[4]
            state = more[5]
            joins += more[6]
            if i < stop:
                break
    return lines, words, characters, invalid, i, state, joins


@cache
def _table(wide: bool) -> Table:
    return kinds_of(wide), printable_bits(kinds_of(wide))


def count_text(block: np.ndarray, encoding: str, state: int = OUTSIDE) -> TextCounts:
    """Count lines, words and characters of `block`.

    Parameters
    ----------
    block : numpy.ndarray
        One dimension, uint8.
    encoding : {"utf-8", "bytes"}
        Count as wc in the locale C.UTF-8, or in C.
    state : {OUTSIDE, INSIDE, UNKNOWN}
        Whether the byte before the block is inside a word.
    """
    wide = encoding == "utf-8"
    table = _table(wide and _table.cache_info().currsize > 1)
    counts = TextCounts(*_count(block, table, wide, state))
    rest = block[counts.used :]
    complete = not len(rest) or decode(rest, 0)[1] == 0
    if not wide or complete or len(table[0]) > NARROW:
        return counts
    more = TextCounts(*_count(rest, _table(True), wide, counts.state))
    sums = TextCounts(*map(sum, zip(counts, more, strict=True)))
    return sums._replace(state=more.state)


@kernel
def _count_files(
    buffer: np.ndarray,
    ends: np.ndarray,
    table: Table,
    wide: bool,
    rows: np.ndarray,
) -> bool:
    """Fill a row of counts for each file; return False if the wide table is needed."""
    start = 0
    for n in range(len(ends)):
        block = buffer[start : ends[n]]
        lines, words, characters, invalid, used, _, _ = _count(
            block, table, wide, OUTSIDE
        )
        if used < len(block) and decode(block, used)[1] > 0:
            return False
        rows[n, 0], rows[n, 1], rows[n, 2] = lines, words, characters
        rows[n, 3], rows[n, 4] = len(block), invalid + len(block) - used
        start = ends[n]
    return True


def count_files(buffer: np.ndarray, ends: Sequence[int], encoding: str) -> np.ndarray:
    """Count whole files whose bytes are concatenated, by the end of each in the buffer.

    `encoding` is as for `count_text`.

    Returns
    -------
    ndarray of int64, (files, 7)
        Lines, words, characters, bytes, bytes that are not UTF-8, and two zeros.
    """
    wide = encoding == "utf-8"
    rows, stops = np.zeros((len(ends), 7), np.int64), np.array(ends, np.int64)
    table = _table(wide and _table.cache_info().currsize > 1)
    if not _count_files(buffer, stops, table, wide, rows):
        _count_files(buffer, stops, _table(True), wide, rows)
    return rows


KERNELS: list[Callable[..., Any]] = [_count, _count_files, decode]
