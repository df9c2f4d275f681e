"""Characters of bytes, one by one: decoded, and counted as by GNU wc."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint8

from mpiapps.kernels.characters import NARROW, OTHER, PRINTABLE, SEPARATOR
from mpiapps.kernels.jit import inline, kernel

OUTSIDE, INSIDE, UNKNOWN = 0, 1, 2  # position relative to a word
# By length: the least first byte of longer characters.
LEADS = (0, 0, 0xE0, 0xF0, 0xF8, 0xFC, 0xFE)
# Lines, words, characters, invalid bytes, bytes used, state, joins.
Scanned = tuple[int, int, int, int, int, int, int]


@kernel
def decode(block: np.ndarray, i: int) -> tuple[int, int]:
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
            return max(offset, begin + int(decode(block, begin)[1]))
    return offset


@inline
def _step(kind: Any, inside: Any, known: Any) -> Any:
    """Return what a character adds to words and joins, and the state after it.

    Without branches: where words begin and end is not predictable.
    """
    printable = int64(kind == uint8(PRINTABLE))
    word = printable & (inside ^ 1)
    join = printable & (known ^ 1)
    inside = (inside | printable) & (int64(kind == uint8(SEPARATOR)) ^ 1)
    return word, join, inside, known | int64(kind != uint8(OTHER))


@kernel
def scan_bytes(block: np.ndarray, kinds: np.ndarray, state: int) -> Scanned:
    """Count the bytes of a block as characters."""
    inside, known = int(state == INSIDE), int(state != UNKNOWN)
    lines, words, joins = 0, 0, 0
    for i in range(len(block)):
        c = block[i]
        word, join, inside, known = _step(kinds[c], inside, known)
        lines += c == uint8(10)
        words += word
        joins += join
    state = inside if known else UNKNOWN
    return lines, words, len(block), 0, len(block), state, joins


@kernel
def scan(block: np.ndarray, stop: int, kinds: np.ndarray, state: int) -> Scanned:
    """Count the characters that begin before `stop`, one by one."""
    inside, known = int(state == INSIDE), int(state != UNKNOWN)
    lines, words, characters, invalid, joins, i = 0, 0, 0, 0, 0, 0
    last = len(block) - 3
    while i < stop:
        c = int(block[i])
        value, n = c, 1
        if c >= 128:
            value, n = -1, 0
            if len(kinds) == NARROW and decode(block, i)[0] >= 0:
                break  # the wide table is needed
            if i < last:
                second, third = int(block[i + 1]) ^ 0x80, int(block[i + 2]) ^ 0x80
                fourth = int(block[i + 3]) ^ 0x80
                if 0xC2 <= c < 0xE0 and second < 0x40:
                    value, n = (c & 0x1F) << 6 | second, 2
                elif 0xE0 <= c < 0xF0 and second < 0x40 and third < 0x40:
                    value, n = (c & 0xF) << 12 | second << 6 | third, 3
                    if value < 0x800 or 0xD800 <= value < 0xE000:
                        n = 0  # overlong, or a surrogate
                elif c == 0xF0 and 0x10 <= second < 0x40 and (third | fourth) < 0x40:
                    value, n = second << 12 | third << 6 | fourth, 4
            if n == 0:
                value, n = decode(block, i)
                if n == 0:
                    break  # truncated
        i += n
        if value < 0:
            invalid += 1
            continue
        kind = kinds[value] if value < len(kinds) else uint8(OTHER)
        word, join, inside, known = _step(kind, inside, known)
        characters += 1
        lines += c == 10
        words += word
        joins += join
    state = inside if known else UNKNOWN
    return lines, words, characters, invalid, i, state, joins
