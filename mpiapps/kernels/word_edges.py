"""Beginnings and ends of words in bytes, and their table: hashes, slots, copies.

Blanks are bits of 64-bit words, as in `fields`, so that the lengths of words, which
are random, do not decide branches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import int64, uint8, uint64

from mpiapps.kernels.bits import (
    WORD_BYTES,
    copy_rest,
    matches,
    read_byte,
    read_uint32,
    read_word,
    trailing_zeros,
)
from mpiapps.kernels.jit import inline, kernel

EXACT_BYTES = 8  # words up to this length and of equal hash and length are equal
# Columns of a row: offset and length of the word in the heap, count, hash.
BEGIN, LENGTH, COUNT, HASH = 0, 1, 2, 3
COLUMNS = 4
# Slots (0, or a row index plus 1), rows, heap, numbers of rows and heap bytes in use.
Store = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # of the mix of splitmix64


@inline
def _blanks(text: Any, i: Any) -> Any:
    """Return which of 64 bytes are one of the six ASCII blanks."""
    first = matches(text, i, uint8(32)) | matches(text, i, uint8(9))
    second = matches(text, i, uint8(10)) | matches(text, i, uint8(11))
    return first | second | matches(text, i, uint8(12)) | matches(text, i, uint8(13))


@kernel
def find_edges(
    block: np.ndarray, begin: int, stop: int, edges: np.ndarray, n: int
) -> int:
    """Append where words begin and end, in turn; return the number of edges.

    Parameters
    ----------
    block : ndarray of uint8, contiguous
    begin, stop : int
        Bytes to search; `stop - begin` is a multiple of 64, unless `stop` is the end.
    edges : ndarray of int64
        Filled from `n` on; ``n + stop - begin`` long at least.
    n : int
        Number of edges before: 1 if a word continues, else 0.
    """
    text, size = block.ctypes.data, len(block)
    before = uint64(n == 0)
    padded = np.zeros(WORD_BYTES, np.uint8)
    for i in range(begin, stop, WORD_BYTES):
        valid = ~uint64(0)
        if i + WORD_BYTES <= size:
            blanks = _blanks(text, i)
        else:
            copy_rest(block, i, padded)
            blanks = _blanks(padded.ctypes.data, 0)
            valid = (uint64(1) << uint64(size - i)) - uint64(1)
        edge_bits = (blanks ^ ((blanks << uint64(1)) | before)) & valid
        before = blanks >> uint64(63)
        while edge_bits != 0:
            edges[n] = i + trailing_zeros(edge_bits)
            n += 1
            edge_bits &= edge_bits - uint64(1)
    return n


@inline
def _mix(value: Any) -> Any:
    """Return a bijection of uint64 whose bits depend on all bits."""
    value = (value ^ (value >> uint64(30))) * uint64(FACTORS[0])
    value = (value ^ (value >> uint64(27))) * uint64(FACTORS[1])
    return value ^ (value >> uint64(31))


@kernel
def word_mark(text: Any, size: int, start: int, length: int) -> int:
    """Return the hash of a word as int64.

    Parameters
    ----------
    text : int
        Address of bytes.
    size : int
        Their number.
    start, length : int
        The word. Up to `EXACT_BYTES` no other word of this length has its hash.
    """
    if length > EXACT_BYTES:
        value = uint64(length)
        for i in range(start, start + length - EXACT_BYTES, EXACT_BYTES):
            value = _mix(value ^ read_word(text, i))
        value ^= read_word(text, start + length - EXACT_BYTES)
    elif length > 0 and start + EXACT_BYTES <= size:
        unused = uint64(8 * (EXACT_BYTES - length))
        value = read_word(text, start) & (~uint64(0) >> unused)
    else:
        value = uint64(0)
        for i in range(length):
            value |= uint64(read_byte(text, start + i)) << uint64(8 * i)
    mark: int = int64(_mix(value))
    return mark


@kernel
def _equal(first: Any, begin: int, second: Any, start: int, length: int) -> bool:
    """Return whether bytes at offsets from two addresses are equal."""
    k = 0
    while k + EXACT_BYTES <= length:
        if read_word(first, begin + k) != read_word(second, start + k):
            return False
        k += EXACT_BYTES
    while k < length:
        if read_byte(first, begin + k) != read_byte(second, start + k):
            return False
        k += 1
    return True


@inline
def table_of(store: Any) -> Any:
    """Return the table of `find_slot`."""
    slots, rows, heap, _ = store
    return slots.ctypes.data, len(slots) - 1, rows.ctypes.data, heap.ctypes.data


@kernel
def find_slot(table: tuple[Any, ...], word: tuple[Any, ...]) -> int:
    """Return the slot of a word: its own, or a free one.

    Addresses, since arrays are counted as referenced for each word.

    Parameters
    ----------
    table : tuple of int
        Address of the slots, their number less 1, addresses of the rows and the heap.
    word : tuple of int
        Address of bytes; offset and length of the word, its `word_mark`.
    """
    slots, mask, rows, heap = table
    text, start, length, mark = word
    slot = int64(uint64(mark) >> uint64(1)) & mask
    while True:
        row = int64(read_uint32(slots, 4 * slot)) - 1
        if row < 0:
            return int(slot)
        at = 8 * COLUMNS * row
        if (
            int64(read_word(rows, at + 8 * HASH)) == mark
            and int64(read_word(rows, at + 8 * LENGTH)) == length
        ):
            begin = int64(read_word(rows, at + 8 * BEGIN))
            if length <= EXACT_BYTES or _equal(heap, begin, text, start, length):
                return int(slot)
        slot = (slot + 1) & mask


@kernel
def insert_word(
    store: Store, data: np.ndarray, slot: int, word: tuple[int, ...]
) -> int:
    """Insert a word into a free slot; return its row, or -1 if there is no room."""
    slots, rows, heap, state = store
    start, length, mark = word
    n, begin = state[0], state[1]
    if n == len(rows) or begin + length > len(heap):
        return -1
    slots[slot] = n + 1
    rows[n, BEGIN], rows[n, LENGTH] = begin, length
    rows[n, COUNT], rows[n, HASH] = 0, mark
    for k in range(length):
        heap[begin + k] = data[start + k]
    state[0] += 1
    state[1] += length
    return int(n)


@kernel
def copy_words(rows: np.ndarray, heap: np.ndarray, new: np.ndarray) -> None:
    """Copy the words of rows to a new heap without gaps."""
    offset = 0
    for k in range(len(rows)):
        begin = rows[k, BEGIN]
        rows[k, BEGIN] = offset
        for i in range(rows[k, LENGTH]):
            new[offset + i] = heap[begin + i]
        offset += rows[k, LENGTH]


KERNELS: list[Callable[..., Any]] = [
    *(find_edges, word_mark, find_slot),
    *(insert_word, copy_words),
]
