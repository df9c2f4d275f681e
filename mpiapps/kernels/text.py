"""Lines, words and characters of bytes, counted as by GNU wc; one process.

A word is a run of characters between separators that contains a printable character;
characters that are neither do not begin or end a word. In the C locale characters are
bytes, and those above 126 are not printable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import uint8, uint16

from mpiapps.kernels.characters import NARROW, OTHER, PRINTABLE, SEPARATOR, kinds_of
from mpiapps.kernels.jit import inline, kernel

CHUNK_BYTES = 4080  # of one vector loop; the counts fit 16 bits
PIECE_BYTES = 257  # of a chunk that is not plain ASCII: whole vectors, plus one byte
OUTSIDE, INSIDE, UNKNOWN = 0, 1, 2  # position relative to a word
# By length: the least first byte of longer characters.
LEADS = (0, 0, 0xE0, 0xF0, 0xF8, 0xFC, 0xFE)


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


@inline
def separates(c: Any) -> Any:
    """Return whether a byte is one of the six ASCII blanks, as 0 or 1."""
    return uint8((c == uint8(32)) | (uint8(c - uint8(9)) <= uint8(4)))


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
def _decode(block: np.ndarray, i: int) -> tuple[int, int]:
    """Return the character at `i` and its length in bytes.

    The character is -1 if it is invalid, the length 0 if it is truncated. As in the GNU
    C library, characters have up to 31 bits in up to 6 bytes.
    """
    c = int(block[i])
    if c < 0x80:
        return c, 1
    if c < 0xC2 or c > 0xFD:
        return -1, 1
    n = 2
    while c >= LEADS[n]:
        n += 1
    value = c & (0x7F >> n)
    for k in range(1, n):
        if i + k == len(block):
            return -1, 0
        more = int(block[i + k])
        if more & 0xC0 != 0x80:
            return -1, 1
        value = value << 6 | (more & 0x3F)
        if k == 1 and n > 2 and value >> (8 - n) == 0:
            return -1, 1  # overlong encoding
    return (-1, 1) if 0xD800 <= value < 0xE000 else (value, n)


def next_character(block: np.ndarray, offset: int) -> int:
    """Return the start of the first character at or after `offset`.

    It depends only on the 5 bytes before `offset` and the 5 after it: a continuation
    byte that does not continue a character is a character by itself.
    """
    for begin in range(offset - 1, max(-1, offset - 6), -1):
        if block[begin] & 0xC0 != 0x80:
            return max(offset, begin + int(_decode(block, begin)[1]))
    return offset


@kernel
def _scan(
    block: np.ndarray, stop: int, kinds: np.ndarray, wide: bool, state: int
) -> tuple[int, int, int, int, int, int, int]:
    """Count the characters that begin before `stop`, one by one."""
    lines, words, characters, invalid, joins, i = 0, 0, 0, 0, 0, 0
    last = len(block) - 2
    while i < stop:
        c = block[i]
        if c < 128 or not wide:
            value, i = int(c), i + 1
        elif len(kinds) == NARROW and _decode(block, i)[0] >= 0:
            break  # the wide table is needed
        elif 0xC2 <= c < 0xE0 and i < last and block[i + 1] & 0xC0 == 0x80:
            value = (int(c) & 0x1F) << 6 | (int(block[i + 1]) & 0x3F)
            i += 2
        elif (
            0xE1 <= c < 0xED  # neither overlong nor a surrogate
            and i < last
            and block[i + 1] & 0xC0 == 0x80
            and block[i + 2] & 0xC0 == 0x80
        ):
            high = (int(c) & 0xF) << 12 | (int(block[i + 1]) & 0x3F) << 6
            value = high | (int(block[i + 2]) & 0x3F)
            i += 3
        else:
            value, n = _decode(block, i)
            if n == 0:
                break  # truncated
            i += n
            if value < 0:
                invalid += 1
                continue
        characters += 1
        lines += value == 10
        kind = kinds[value] if value < len(kinds) else uint8(OTHER)
        if kind == SEPARATOR:
            state = OUTSIDE
        elif kind == PRINTABLE and state != INSIDE:
            joins += state == UNKNOWN
            words += 1
            state = INSIDE
    return lines, words, characters, invalid, i, state, joins


@kernel
def _count(
    block: np.ndarray, kinds: np.ndarray, wide: bool, state: int
) -> tuple[int, int, int, int, int, int, int]:
    lines, words, characters, invalid, joins, i, piece_stop = 0, 0, 0, 0, 0, 0, 0
    while i < len(block):
        size = PIECE_BYTES if i < piece_stop else CHUNK_BYTES
        stop = min(len(block), i + size)
        more_lines, more_words, other = _count_ascii(block[i:stop], state == INSIDE)
        if other == 0:
            lines += more_lines
            words += more_words
            characters += stop - i
            joins += state == UNKNOWN and not separates(block[i])
            state = OUTSIDE if separates(block[stop - 1]) else INSIDE
            i = stop
        elif size == CHUNK_BYTES:  # split the chunk to find its plain pieces
            piece_stop = stop
        else:
            more = _scan(block[i:], stop - i, kinds, wide, state)
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
    kinds = kinds_of(wide and kinds_of.cache_info().currsize > 1)
    counts = TextCounts(*_count(block, kinds, wide, state))
    rest = block[counts.used :]
    if not wide or not len(rest) or len(kinds) > NARROW or _decode(rest, 0)[1] == 0:
        return counts
    more = TextCounts(*_count(rest, kinds_of(True), wide, counts.state))
    sums = TextCounts(*map(sum, zip(counts, more, strict=True)))
    return sums._replace(state=more.state)


@kernel
def _count_files(
    buffer: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    wide: bool,
    rows: np.ndarray,
) -> bool:
    """Fill a row of counts for each file; return False if the wide table is needed."""
    start = 0
    for n in range(len(ends)):
        block = buffer[start : ends[n]]
        lines, words, characters, invalid, used, _, _ = _count(
            block, kinds, wide, OUTSIDE
        )
        if used < len(block) and _decode(block, used)[1] > 0:
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
    kinds = kinds_of(wide and kinds_of.cache_info().currsize > 1)
    if not _count_files(buffer, stops, kinds, wide, rows):
        _count_files(buffer, stops, kinds_of(True), wide, rows)
    return rows


KERNELS: list[Callable[..., Any]] = [_count, _count_files, _decode]
