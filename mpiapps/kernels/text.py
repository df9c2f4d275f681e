"""Lines, words and characters of bytes, as GNU wc counts them; one process.

A word is a run of characters between separators that holds a printable one: characters
that are neither do not begin a word and do not end one. In the C locale characters are
bytes, and those above 126 are not printable.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import uint8, uint16

from mpiapps.kernels.jit import inline, kernel

CHUNK = 4080  # bytes that are looked at together; their counts fit 16 bits
OTHER, SEPARATOR, PRINTABLE = 0, 1, 2  # kinds of characters
LEADS = (0, 0, 0xE0, 0xF0, 0xF8, 0xFC, 0xFE)  # first bytes of longer characters
NO_BREAK = (0xA0, 0x2007, 0x202F, 0x2060)  # spaces of wc that are none of the C library
NARROW = 256  # characters of which the kind is known without asking
ASSIGNED = (range(0x80, 0x34000), range(0xE0000, 0xE0200))  # as Unicode has it
PRIVATE = (range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))  # all printable
LC_CTYPE_MASK = 1


class Counted(NamedTuple):
    """What `count` found in a block.

    Attributes
    ----------
    lines, words, characters, invalid : int
        Line ends; words that begin; characters; bytes that are no part of any.
    used : int
        Bytes that were looked at: a character that goes on behind the block is left.
    within : bool
        Whether the block ends inside a word.
    """

    lines: int
    words: int
    characters: int
    invalid: int
    used: int
    within: bool


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


@kernel
def _count(
    block: np.ndarray, kinds: np.ndarray, wide: bool, within: bool
) -> tuple[int, int, int, int, int, bool]:
    lines, words, characters, invalid, i = 0, 0, 0, 0, 0
    while i < len(block):
        stop = min(len(block), i + CHUNK)
        some_lines, some_words, odd = _plain(block[i:stop], within)
        if odd == 0:
            lines += some_lines
            words += some_words
            characters += stop - i
            within = separates(block[stop - 1]) == 0
            i = stop
            continue
        while i < stop:
            value, n = _decode(block, i) if wide else (int(block[i]), 1)
            if n == 0:  # the next block will tell
                return lines, words, characters, invalid, i, within
            if wide and value >= 128 and len(kinds) == NARROW:  # ask for more first
                return lines, words, characters, invalid, i, within
            i += n
            if value < 0:
                invalid += 1
                continue
            characters += 1
            lines += value == 10
            kind = kinds[value] if value < len(kinds) else OTHER
            if kind == SEPARATOR:
                within = False
            elif kind == PRINTABLE and not within:
                within = True
                words += 1
    return lines, words, characters, invalid, i, within


def count(block: np.ndarray, encoding: str, within: bool = False) -> Counted:
    """Count what is in `block`. Local.

    Parameters
    ----------
    block : numpy.ndarray
        One dimension, uint8.
    encoding : {"utf-8", "bytes"}
        As wc in the locales C.UTF-8 and C.
    within : bool
        Whether the byte before the block is of a word.
    """
    wide = encoding == "utf-8"
    kinds = _kinds(wide and _kinds.cache_info().currsize > 1)
    found = Counted(*_count(block, kinds, wide, within))
    left = block[found.used :]
    if not wide or not len(left) or len(kinds) > NARROW or _decode(left, 0)[1] == 0:
        return found
    more = Counted(*_count(left, _kinds(True), wide, found.within))
    return Counted(
        found.lines + more.lines,
        found.words + more.words,
        found.characters + more.characters,
        found.invalid + more.invalid,
        found.used + more.used,
        more.within,
    )


@kernel
def _count_each(
    buffer: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    wide: bool,
    rows: np.ndarray,
) -> bool:
    """Fill a row for each file; return false if more kinds are needed."""
    start = 0
    for n in range(len(ends)):
        block = buffer[start : ends[n]]
        lines, words, characters, invalid, used, _ = _count(block, kinds, wide, False)
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
    ndarray of int64, (files, 5)
        Lines, words, characters, bytes, and bytes that are no part of a character.
    """
    wide = encoding == "utf-8"
    rows, places = np.empty((len(ends), 5), np.int64), np.array(ends, np.int64)
    kinds = _kinds(wide and _kinds.cache_info().currsize > 1)
    if not _count_each(buffer, places, kinds, wide, rows):
        _count_each(buffer, places, _kinds(True), wide, rows)
    return rows


@cache
def _kinds(wide: bool) -> np.ndarray:
    """Return the kind of each character, uint8, by the C library. Local.

    The 128 first ones are told by rule; the others are asked for when one is met, since
    that takes some 0.3 s. Of a library without the locale C.UTF-8 what Python calls
    printable is taken.
    """
    kinds = np.zeros(0x110000 if wide else NARROW, np.uint8)
    kinds[33:127] = PRINTABLE
    kinds[[9, 10, 11, 12, 13, 32]] = SEPARATOR
    if not wide:
        return kinds
    library = ctypes.CDLL(None)
    library.newlocale.restype = ctypes.c_void_p
    library.newlocale.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
    locale = library.newlocale(LC_CTYPE_MASK, b"C.UTF-8", None)
    for part in ASSIGNED:
        if locale:
            printable = _told(library.iswprint_l, part, locale)
            space = _told(library.iswspace_l, part, locale)
        else:
            printable = np.array([chr(c).isprintable() for c in part])
            space = np.array([chr(c).isspace() for c in part])
        here = kinds[part.start : part.stop]
        here[printable] = PRINTABLE
        here[printable & space] = SEPARATOR
    kinds[list(NO_BREAK)] = SEPARATOR
    for part in PRIVATE:
        kinds[part.start : part.stop] = PRINTABLE
    return kinds


def _told(ask: ctypes._NamedFuncPointer, characters: range, locale: int) -> np.ndarray:
    ask.argtypes = [ctypes.c_uint, ctypes.c_void_p]
    answers = np.fromiter((ask(c, locale) for c in characters), int)
    return answers.astype(bool)


KERNELS: list[Callable[..., Any]] = [_count, _count_each]
