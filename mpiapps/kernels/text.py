"""Lines, words and characters of bytes, counted as by GNU wc; one process.

A word is a run of characters between separators that contains a printable character;
characters that are neither do not begin or end a word. In the C locale characters are
bytes, and those above 126 are not printable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import uint8, uint16, uint64

from mpiapps.kernels.bits import read_word
from mpiapps.kernels.characters import KERNELS as CHARACTER_KERNELS
from mpiapps.kernels.jit import inline, kernel
from mpiapps.kernels.utf8 import (
    COUNT_BITS,
    INSIDE,
    LAYERS,
    NEXT,
    OUTSIDE,
    STATE,
    UNKNOWN,
    Automaton,
    automaton,
    next_character,
    separates,
)

CHUNK_BYTES = 4080  # of the loop over ASCII; the counts fit 16 bits
HEAD_BYTES, NOT_ASCII = 64, 0x8080808080808080  # bytes that are tested before it
# A transition waits for the one before it. So a chunk has 8 parts, in turn. The counts
# of 250 bytes of each, and of up to 5 incomplete ones before them, fit 11 bits.
PARTS, STEPS = 8, 250
LEAST_PART_BYTES, PART_BYTES = 64, 3640
WIDE_BYTES = PARTS * PART_BYTES  # of a chunk; 9 of them fill a block of 2**18 bytes
MAX_CHARACTER_BYTES = 6
LINES, WORDS, CHARACTERS, INVALID = 0, 1, 2, 3  # elements of the counts


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
def _unpack(packed: Any, counts: np.ndarray) -> None:
    """Add the sums of transitions to the four counts."""
    for k in range(len(counts)):
        field = (packed >> uint64(COUNT_BITS * k)) & uint64(2**COUNT_BITS - 1)
        counts[k] += int(field)


@kernel
def _follow(
    transitions: np.ndarray, part: np.ndarray, last: Any, counts: np.ndarray
) -> Any:
    """Follow the transitions of a part after the `last` one; return its last one."""
    for begin in range(0, len(part), PARTS * STEPS):
        packed = uint64(0)
        for c in part[begin : begin + PARTS * STEPS]:
            last = transitions[(last >> uint64(NEXT)) + c]
            packed += last
        _unpack(packed, counts)
    return last


@inline
def _follow_parts(
    transitions: np.ndarray,
    block: np.ndarray,
    starts: np.ndarray,
    counts: np.ndarray,
    length: int,
) -> np.ndarray:
    """Follow the transitions of eight parts, in turn; return the last one of each.

    Part k starts up to 5 bytes after ``k * length``. With a constant `length`, one
    register addresses the bytes of all parts.
    """
    lasts = np.full(PARTS, uint64(UNKNOWN) << uint64(STATE))
    for k in range(PARTS):
        head = block[starts[k] : k * length + MAX_CHARACTER_BYTES]
        lasts[k] = _follow(transitions, head, lasts[k], counts)
    t0, t1, t2, t3, t4, t5, t6, t7 = lasts
    next_, step = uint64(NEXT), uint64(length)
    for begin in range(MAX_CHARACTER_BYTES, length, STEPS):
        packed, more = uint64(0), uint64(0)
        for j in range(uint64(begin), uint64(min(length, begin + STEPS))):
            t0 = transitions[(t0 >> next_) + block[j]]
            t1 = transitions[(t1 >> next_) + block[j + step]]
            t2 = transitions[(t2 >> next_) + block[j + uint64(2) * step]]
            t3 = transitions[(t3 >> next_) + block[j + uint64(3) * step]]
            t4 = transitions[(t4 >> next_) + block[j + uint64(4) * step]]
            t5 = transitions[(t5 >> next_) + block[j + uint64(5) * step]]
            t6 = transitions[(t6 >> next_) + block[j + uint64(6) * step]]
            t7 = transitions[(t7 >> next_) + block[j + uint64(7) * step]]
            packed += (t0 + t1) + (t2 + t3)
            more += (t4 + t5) + (t6 + t7)
        _unpack(packed + more, counts)
    rests = (t0, t1, t2, t3, t4, t5, t6, t7)
    for k in range(PARTS):
        rest = block[(k + 1) * length : starts[k + 1]]
        lasts[k] = _follow(transitions, rest, rests[k], counts)
    return lasts


@kernel
def _begins_word(transitions: np.ndarray, part: np.ndarray) -> bool:
    """Return whether the first separator or printable character is printable."""
    last = uint64(UNKNOWN) << uint64(STATE)
    for c in part:
        last = transitions[(last >> uint64(NEXT)) + c]
        layer = (last >> uint64(STATE)) % uint64(LAYERS)
        if layer != UNKNOWN:
            return bool(layer == INSIDE)
    return False


@kernel
def _count_wide(
    block: np.ndarray, machine: Automaton, state: int, counts: np.ndarray
) -> tuple[int, int, int]:
    """Count characters of any kind; return bytes used, state after them, and joins."""
    transitions, pending = machine
    parts = PARTS if len(block) >= PARTS * LEAST_PART_BYTES else 1
    starts = np.zeros(parts + 1, np.int64)
    for k in range(1, parts):
        starts[k] = next_character(block, k * (len(block) // parts))
    starts[parts] = len(block)
    if parts == 1:
        lasts = np.full(1, uint64(UNKNOWN) << uint64(STATE))
        lasts[0] = _follow(transitions, block, lasts[0], counts)
    elif len(block) == WIDE_BYTES:
        lasts = _follow_parts(transitions, block, starts, counts, PART_BYTES)
    else:
        lasts = _follow_parts(transitions, block, starts, counts, len(block) // PARTS)
    joins, incomplete = 0, 0
    for k in range(parts):
        counts[INVALID] += incomplete  # not continued by a part that begins a character
        number = int(lasts[k] >> uint64(STATE))
        after, incomplete = number % LAYERS, pending[number // LAYERS]
        if after == UNKNOWN:
            continue
        if state != OUTSIDE and _begins_word(transitions, block[starts[k] :]):
            counts[WORDS] -= state == INSIDE
            joins += state == UNKNOWN
        state = after
    return len(block) - incomplete, state, joins


@inline
def _begins_wide(block: np.ndarray, i: int) -> bool:
    """Return whether one of the next 64 bytes, if there are as many, is not ASCII."""
    if i + HEAD_BYTES > len(block):
        return False
    text, high = block.ctypes.data, uint64(0)
    for k in range(0, HEAD_BYTES, 8):
        high |= read_word(text, i + k)
    return bool(high & uint64(NOT_ASCII))


@kernel
def _count(
    block: np.ndarray, machine: Automaton, state: int
) -> tuple[int, int, int, int, int, int, int]:
    counts, joins, i = np.zeros(4, np.int64), 0, 0
    while i < len(block):
        stop = min(len(block), i + CHUNK_BYTES)
        lines, words, other = 0, 0, 1
        if not _begins_wide(block, i):
            lines, words, other = _count_ascii(block[i:stop], state == INSIDE)
        if other == 0:
            counts[LINES] += lines
            counts[WORDS] += words
            counts[CHARACTERS] += stop - i
            joins += state == UNKNOWN and not separates(block[i])
            state = OUTSIDE if separates(block[stop - 1]) else INSIDE
            i = stop
            continue
        stop = min(len(block), i + WIDE_BYTES)
        used, state, more = _count_wide(block[i:stop], machine, state, counts)
        i, joins = i + used, joins + more
        if i < stop == len(block):
            break  # a truncated character
    return counts[0], counts[1], counts[2], counts[3], i, state, joins


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
    return TextCounts(*_count(block, automaton(encoding), state))


@kernel
def _count_files(
    buffer: np.ndarray, ends: np.ndarray, machine: Automaton, rows: np.ndarray
) -> None:
    """Fill a row of counts for each file."""
    start = 0
    for n in range(len(ends)):
        block = buffer[start : ends[n]]
        lines, words, characters, invalid, used, _, _ = _count(block, machine, OUTSIDE)
        rows[n, 0], rows[n, 1], rows[n, 2] = lines, words, characters
        rows[n, 3], rows[n, 4] = len(block), invalid + len(block) - used
        start = ends[n]


def count_files(buffer: np.ndarray, ends: Sequence[int], encoding: str) -> np.ndarray:
    """Count whole files whose bytes are concatenated, by the end of each in the buffer.

    `encoding` is as for `count_text`.

    Returns
    -------
    ndarray of int64, (files, 7)
        Lines, words, characters, bytes, bytes that are not UTF-8, and two zeros.
    """
    rows = np.zeros((len(ends), 7), np.int64)
    _count_files(buffer, np.array(ends, np.int64), automaton(encoding), rows)
    return rows


KERNELS: list[Callable[..., Any]] = [
    *CHARACTER_KERNELS,
    next_character,
    _count,
    _count_files,
]
