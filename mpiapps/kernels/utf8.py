"""Counts of valid UTF-8 in vector loops: lines, words and characters as by GNU wc.

The first loop looks back at two bytes, as the validation of Keiser and Lemire does
(Validating UTF-8 in less than one instruction per byte, Software: Practice and
Experience 51 (2021)), and notes which groups of first bytes occur. Loops over such a
group look for its separators, and for characters that are not printable. What is not
proven to be valid, a separator or printable is refused: the caller then goes character
by character.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import int64, uint8, uint16, uint64

from mpiapps.kernels.characters import PRINTABLE
from mpiapps.kernels.jit import inline, kernel

BEFORE, AFTER = 3, 4  # bytes of the workspaces beside those that are counted
# Bits of the first loop's marks, beside 1 for a newline and 2 for a continuation byte.
REFUSED, TWO_BYTES, THREE_BYTES, LATE_THREE_BYTES, FOUR_BYTES = 4, 8, 16, 32, 64
# First characters of the rows of `printable_bits`: those of E0, of E1, and of F0 9F.
BIT_ROWS = (0, 0x1000, 0x1F000)


def printable_bits(kinds: np.ndarray) -> np.ndarray:
    """Return a bit for each of the 4096 characters of three groups, uint64, (3, 64).

    Scripts with many gaps. Without their kinds in the table none is printable.
    """
    bits = np.zeros((len(BIT_ROWS), 64), np.uint64)
    for row, first in zip(bits, BIT_ROWS, strict=True):
        printable = kinds[first : first + 4096] == PRINTABLE
        if printable.size == 4096:
            row[:] = np.packbits(printable, bitorder="little").view("<u8")
    bits[0, :32] = 0  # E0 80 to E0 9F are overlong
    return bits


@inline
def separates(c: Any) -> Any:
    """Return whether a byte is one of the six ASCII blanks, as 0 or 1."""
    return uint8((c == uint8(32)) | (uint8(c - uint8(9)) <= uint8(4)))


@inline
def _between(c: Any, low: Any, high: Any) -> Any:
    return uint8(c - uint8(low)) <= uint8(high - low)


@kernel
def _classify(buffer: np.ndarray, n: int, marks: np.ndarray, blanks: np.ndarray) -> int:
    """Fill marks and blanks of `n` bytes; return the marks that occur."""
    third, second, previous, current = buffer[:], buffer[1:], buffer[2:], buffer[3:]
    seen: Any = uint8(0)
    for j in range(n):
        p3, p2, p1, c = third[j], second[j], previous[j], current[j]
        continues = (c & uint8(0xC0)) == uint8(0x80)
        must_continue = (p1 >= uint8(0xC0)) | (p2 >= uint8(0xE0)) | (p3 >= uint8(0xF0))
        blank = (c == uint8(32)) | (uint8(c - uint8(9)) <= uint8(4))
        control = ((c < uint8(32)) & (blank ^ True)) | (c == uint8(127))
        invalid = (continues ^ must_continue) | _between(c, 0xC0, 0xC1)
        refused = control | invalid | (c > uint8(0xF0))
        gaps = (c == uint8(0xC2)) | _between(c, 0xCD, 0xCE) | _between(c, 0xD4, 0xDF)
        mark = uint8(
            uint8(c == uint8(10))
            | uint8(uint8(continues) << uint8(1))
            | uint8(uint8(refused) << uint8(2))
            | uint8(uint8(gaps) << uint8(3))
            | uint8(uint8(_between(c, 0xE0, 0xE3)) << uint8(4))
            | uint8(uint8(_between(c, 0xEA, 0xEF)) << uint8(5))
            | uint8(uint8(c == uint8(0xF0)) << uint8(6))
        )
        marks[j] = mark
        blanks[j + 1] = uint8(blank)
        seen = uint8(seen | mark)
    return int(seen)


@kernel
def _refuse_two(buffer: np.ndarray, n: int) -> tuple[bool, bool]:
    """Return whether characters of two bytes are refused, and whether any separates."""
    previous, current = buffer[2:], buffer[3:]
    refused: Any = uint8(0)
    separators: Any = uint8(0)
    for j in range(n):
        first, c = previous[j], current[j]
        bad = (
            ((first == uint8(0xC2)) & (c < uint8(0xA0)))
            | ((first == uint8(0xCD)) & _between(c, 0xB8, 0xB9))
            | (
                (first == uint8(0xCE))
                & ((c < uint8(0x84)) | (c == uint8(0x8B)) | (c == uint8(0x8D)))
            )
            | ((first == uint8(0xCE)) & (c == uint8(0xA2)))
            | _between(first, 0xD4, 0xD6)
            | ((first == uint8(0xD7)) & _between(c, 0x88, 0x8F))
            | ((first == uint8(0xD7)) & (_between(c, 0xAB, 0xAE) | (c >= uint8(0xB5))))
            | _between(first, 0xDC, 0xDF)
        )
        refused = uint8(refused | uint8(bad))
        separates_ = (first == uint8(0xC2)) & (c == uint8(0xA0))
        separators = uint8(separators | uint8(separates_))
    return refused != 0, separators != 0


@inline
def _is_separator(a: Any, b: Any, c: Any) -> Any:
    """Return whether three bytes are U+2000 to U+200A, U+202F, U+205F, 2060 or 3000."""
    general = (b == uint8(0x80)) & ((c <= uint8(0x8A)) | (c == uint8(0xAF)))
    spaces = (b == uint8(0x81)) & _between(c, 0x9F, 0xA0)
    ideographic = (a == uint8(0xE3)) & (b == uint8(0x80)) & (c == uint8(0x80))
    return ((a == uint8(0xE2)) & (general | spaces)) | ideographic


@kernel
def _refuse_three(buffer: np.ndarray, n: int) -> tuple[bool, bool, bool]:
    """Return the same for those of three bytes that begin with E0 to E3.

    And whether some of E0 and E1 are left to `_refuse_by_bits`.
    """
    second, previous, current = buffer[1:], buffer[2:], buffer[3:]
    refused: Any = uint8(0)
    separators: Any = uint8(0)
    undecided: Any = uint8(0)
    for j in range(n):
        a, b, c = second[j], previous[j], current[j]
        symbols = (
            (b == uint8(0x83))
            | (b == uint8(0x86))
            | _between(b, 0x90, 0x91)
            | (b >= uint8(0xAD))
            | ((b == uint8(0x80)) & _between(c, 0xA8, 0xA9))
            | ((b == uint8(0x81)) & (_between(c, 0xB2, 0xB3) | (c == uint8(0xA5))))
            | ((b == uint8(0x82)) & (_between(c, 0x9D, 0x9F) | (c == uint8(0x8F))))
        )
        kana = (
            (b == uint8(0x84))
            | _between(b, 0x86, 0x88)
            | ((b == uint8(0x81)) & (c == uint8(0x80)))
            | ((b == uint8(0x82)) & _between(c, 0x97, 0x98))
        )
        bad = ((a == uint8(0xE2)) & symbols) | ((a == uint8(0xE3)) & kana)
        refused = uint8(refused | uint8(bad))
        undecided = uint8(undecided | uint8(_between(a, 0xE0, 0xE1)))
        separators = uint8(separators | uint8(_is_separator(a, b, c)))
    return refused != 0, separators != 0, undecided != 0


@kernel
def _refuse_by_bits(buffer: np.ndarray, n: int, bits: np.ndarray) -> bool:
    """Return whether characters that begin with E0, E1 or F0 are refused."""
    before, second, previous, current = buffer[:], buffer[1:], buffer[2:], buffer[3:]
    refused = uint64(0)
    for j in range(n):
        w, a, b, c = before[j], second[j], previous[j], current[j]
        four = (w == uint8(0xF0)) & (a == uint8(0x9F))
        row = int64(2) if four else int64(a & uint8(1))
        printable = bits[row, int64(b & uint8(0x3F))] >> uint64(c & uint8(0x3F))
        asked = four | _between(a, 0xE0, 0xE1)
        other = (w == uint8(0xF0)) & (a != uint8(0x9F))
        refused |= uint64(other) | (uint64(asked) & ~printable & uint64(1))
    return bool(refused)


@kernel
def _refuse_late_three(buffer: np.ndarray, n: int) -> bool:
    """Return whether characters that begin with EA to EF are refused."""
    second, previous, current = buffer[1:], buffer[2:], buffer[3:]
    refused: Any = uint8(0)
    for j in range(n):
        a, b, c = second[j], previous[j], current[j]
        forms = (b <= uint8(0xA8)) | (
            _between(b, 0xBC, 0xBD) & ((b != uint8(0xBC)) | (c != uint8(0x80)))
        )
        bad = (
            ((a == uint8(0xEA)) & (b < uint8(0xB0)))
            | ((a == uint8(0xED)) & (b >= uint8(0x9E)))
            | ((a == uint8(0xEF)) & (forms ^ True))
        )
        refused = uint8(refused | uint8(bad))
    return bool(refused)


@kernel
def _mark_separators(buffer: np.ndarray, n: int, blanks: np.ndarray) -> None:
    """Mark all bytes of separators beyond ASCII as blanks."""
    p2s, p1s, current, n1s, n2s = (
        buffer[1:],
        buffer[2:],
        buffer[3:],
        buffer[4:],
        buffer[5:],
    )
    for j in range(n):
        p2, p1, c, n1, n2 = p2s[j], p1s[j], current[j], n1s[j], n2s[j]
        two = ((p1 == uint8(0xC2)) & (c == uint8(0xA0))) | (
            (c == uint8(0xC2)) & (n1 == uint8(0xA0))
        )
        three = (
            _is_separator(p2, p1, c)
            | _is_separator(p1, c, n1)
            | _is_separator(c, n1, n2)
        )
        blanks[j + 1] = uint8(blanks[j + 1] | uint8(two | three))


@kernel
def _sum(marks: np.ndarray, blanks: np.ndarray, n: int) -> tuple[int, int, int]:
    """Return newlines, beginnings of words, and continuation bytes."""
    lines: Any = uint16(0)
    words: Any = uint16(0)
    continuations: Any = uint16(0)
    before, after = blanks[:n], blanks[1:]
    for j in range(n):
        mark = marks[j]
        lines = uint16(lines + uint16(uint8(mark & uint8(1))))
        words = uint16(words + uint16(uint8(before[j] > after[j])))
        continuations = uint16(continuations + uint16(uint8(mark & uint8(2))))
    return int(lines), int(words), int(continuations) // 2


@kernel
def begins_with_separator(block: np.ndarray, i: int) -> bool:
    """Return whether the character at `i`, of those that `count_wide` takes, is one."""
    if block[i] < 0xC2:
        return bool(separates(block[i]))
    if block[i] == 0xC2:
        return bool(block[i + 1] == 0xA0)
    return block[i] >= 0xE0 and bool(
        _is_separator(block[i], block[i + 1], block[i + 2])
    )


@kernel
def count_wide(
    block: np.ndarray, inside: bool, bits: np.ndarray, work: np.ndarray
) -> tuple[bool, int, int, int, bool]:
    """Count the characters of a block of whole characters, if it can be done so.

    Parameters
    ----------
    block : ndarray of uint8, (n,), n up to 30,000
    inside : bool
        Whether a word goes on from before the block.
    bits : ndarray
        Result of `printable_bits`.
    work : ndarray of uint8, (3, n + 7) or more
        Workspace.

    Returns
    -------
    bool
        False if a character is neither a separator nor proven to be printable; the
        rest has no meaning then.
    int, int, int
        Lines, beginnings of words, characters.
    bool
        Whether the block ends inside a word.
    """
    n = len(block)
    buffer, marks, blanks = work[0], work[1], work[2]
    for j in range(BEFORE):
        buffer[j] = 32
    for j in range(n):
        buffer[BEFORE + j] = block[j]
    for j in range(AFTER):  # a character that is cut off has no continuation there
        buffer[BEFORE + n + j] = 32
    seen = _classify(buffer, n + 2, marks, blanks)
    if seen & REFUSED:
        return False, 0, 0, 0, False
    separators, undecided = False, (seen & FOUR_BYTES) != 0
    if seen & TWO_BYTES:
        refused, separators = _refuse_two(buffer, n)
        if refused:
            return False, 0, 0, 0, False
    if seen & THREE_BYTES:
        refused, more, gaps = _refuse_three(buffer, n)
        if refused:
            return False, 0, 0, 0, False
        separators, undecided = separators | more, undecided | gaps
    if seen & LATE_THREE_BYTES and _refuse_late_three(buffer, n):
        return False, 0, 0, 0, False
    if undecided and _refuse_by_bits(buffer, n, bits):
        return False, 0, 0, 0, False
    if separators:
        _mark_separators(buffer, n, blanks)
    blanks[0] = not inside
    lines, words, continuations = _sum(marks, blanks, n)
    return True, lines, words, n - continuations, blanks[n] == 0


KERNELS: list[Callable[..., Any]] = [count_wide]
