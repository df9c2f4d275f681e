"""Lines, words and characters of bytes, as GNU wc counts them; one process.

A word is a run of characters between separators that holds a printable one: characters
that are neither do not begin a word and do not end one. In the C locale characters are
bytes, and those above 126 are not printable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import uint8, uint16

from mpiapps.kernels.characters import NARROW, OTHER, PRINTABLE, SEPARATOR, kinds_of
from mpiapps.kernels.jit import inline, kernel

CHUNK = 4080  # bytes that are looked at together; their counts fit 16 bits
PIECE = 257  # bytes of a chunk that is not plain: a whole number of vectors, and one
OUTSIDE, INSIDE, UNKNOWN = 0, 1, 2  # of a word
LEADS = (0, 0, 0xE0, 0xF0, 0xF8, 0xFC, 0xFE)  # first bytes of longer characters


class Counted(NamedTuple):
    """What `count` found in a block.

    Attributes
    ----------
    lines, words, characters, invalid : int
        Line ends; words that begin; characters; bytes that are no part of any.
    used : int
        Bytes that were looked at: a character that goes on behind the block is left.
    state : int
        `OUTSIDE` or `INSIDE` of a word at the end, or `UNKNOWN` if no character
        decided it.
    joins : int
        1 if the state was unknown before the block and its first character that
        decides is printable: its word continues one that is open before the block.
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
    """Return whether a byte is one of the six blanks of ASCII, as 0 or 1."""
    return uint8((c == uint8(32)) | (uint8(c - uint8(9)) <= uint8(4)))


@kernel
def count_newlines(block: np.ndarray) -> int:
    """Return the number of line ends in `block`, uint8. Local."""
    found, n, i = 0, len(block), 0
    while i < n:
        part = block[i : min(n, i + 65535)]
        some: Any = uint16(0)  # 16 bits: half a vector register is not wasted on zeros
        for j in range(len(part)):
            some = uint16(some + uint16(uint8(part[j] == uint8(10))))
        found += some
        i += 65535
    return found


@kernel
def _plain(block: np.ndarray, within: bool) -> tuple[int, int, int]:
    """Count lines and words of at most `CHUNK` bytes, and bytes that are not plain."""
    first = block[0]
    blank = separates(first)
    lines = int(first == 10)
    words = int(not within and not blank)
    odd = int(uint8(first - uint8(32)) > uint8(94) and not blank)
    here, before = block[1:], block[:-1]
    some_lines: Any = uint16(0)
    some_words: Any = uint16(0)
    some_odd: Any = uint16(0)
    for j in range(len(here)):
        c = here[j]
        blank, gap = separates(c), separates(before[j])
        strange = uint8(uint8(c - uint8(32)) > uint8(94))
        some_lines = uint16(some_lines + uint16(uint8(c == uint8(10))))
        some_words = uint16(some_words + uint16(uint8(gap & (blank ^ uint8(1)))))
        some_odd = uint16(some_odd + uint16(uint8(strange & (blank ^ uint8(1)))))
    return lines + some_lines, words + some_words, odd + some_odd


@kernel
def _decode(block: np.ndarray, i: int) -> tuple[int, int]:
    """Return the character at `i` and its bytes; -1 if none is; 0 bytes if cut off.

    As the GNU C library has it: up to 31 bits in up to 6 bytes, beyond Unicode.
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
            return -1, 1  # it would fit fewer bytes
    return (-1, 1) if 0xD800 <= value < 0xE000 else (value, n)


def next_character(block: np.ndarray, place: int) -> int:
    """Return where the first character at or behind `place` begins. Local.

    A byte that continues none begins one, so 5 bytes before `place` and 5 behind it
    decide.
    """
    for begin in range(place - 1, max(-1, place - 6), -1):
        if block[begin] & 0xC0 != 0x80:
            return max(place, begin + int(_decode(block, begin)[1]))
    return place


@kernel
def _scan(
    block: np.ndarray, stop: int, kinds: np.ndarray, wide: bool, state: int
) -> tuple[int, int, int, int, int, int, int]:
    """Count the characters that begin before `stop`, one after the other."""
    lines, words, characters, invalid, joins, i = 0, 0, 0, 0, 0, 0
    last = len(block) - 2
    while i < stop:
        c = block[i]
        if c < 128 or not wide:
            value, i = int(c), i + 1
        elif len(kinds) == NARROW and _decode(block, i)[0] >= 0:
            break  # more kinds are needed
        elif 0xC2 <= c < 0xE0 and i < last and block[i + 1] & 0xC0 == 0x80:
            value = (int(c) & 0x1F) << 6 | (int(block[i + 1]) & 0x3F)
            i += 2
        elif (
            0xE1 <= c < 0xED  # not too long, and no surrogate
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
                break  # the next block decides
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
    lines, words, characters, invalid, joins, i, near = 0, 0, 0, 0, 0, 0, 0
    while i < len(block):
        size = PIECE if i < near else CHUNK
        stop = min(len(block), i + size)
        some_lines, some_words, odd = _plain(block[i:stop], state == INSIDE)
        if odd == 0:
            lines += some_lines
            words += some_words
            characters += stop - i
            joins += state == UNKNOWN and not separates(block[i])
            state = OUTSIDE if separates(block[stop - 1]) else INSIDE
            i = stop
        elif size == CHUNK:  # look for the plain pieces of it
            near = stop
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


def count(block: np.ndarray, encoding: str, state: int = OUTSIDE) -> Counted:
    """Count what is in `block`. Local.

    Parameters
    ----------
    block : numpy.ndarray
        One dimension, uint8.
    encoding : {"utf-8", "bytes"}
        As wc in the locales C.UTF-8 and C.
    state : {OUTSIDE, INSIDE, UNKNOWN}
        Whether the byte before the block is of a word.
    """
    wide = encoding == "utf-8"
    kinds = kinds_of(wide and kinds_of.cache_info().currsize > 1)
    found = Counted(*_count(block, kinds, wide, state))
    left = block[found.used :]
    if not wide or not len(left) or len(kinds) > NARROW or _decode(left, 0)[1] == 0:
        return found
    more = Counted(*_count(left, kinds_of(True), wide, found.state))
    return Counted(
        found.lines + more.lines,
        found.words + more.words,
        found.characters + more.characters,
        found.invalid + more.invalid,
        found.used + more.used,
        more.state,
        found.joins + more.joins,
    )


@kernel
def _count_each(
    buffer: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    wide: bool,
    rows: np.ndarray,
) -> bool:
    """Fill a row of sums for each file; return false if more kinds are needed."""
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


def count_each(buffer: np.ndarray, ends: Sequence[int], encoding: str) -> np.ndarray:
    """Count whole files that stand one behind the other. Local.

    Parameters
    ----------
    buffer : ndarray of uint8
    ends : sequence of int
        Where each file ends.
    encoding : {"utf-8", "bytes"}
        As in `count`.

    Returns
    -------
    ndarray of int64, (files, 7)
        Lines, words, characters, bytes, bytes that are no part of a character, and two
        zeros.
    """
    wide = encoding == "utf-8"
    rows, places = np.zeros((len(ends), 7), np.int64), np.array(ends, np.int64)
    kinds = kinds_of(wide and kinds_of.cache_info().currsize > 1)
    if not _count_each(buffer, places, kinds, wide, rows):
        _count_each(buffer, places, kinds_of(True), wide, rows)
    return rows


KERNELS: list[Callable[..., Any]] = [_count, _count_each, _decode]
