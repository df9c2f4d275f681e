"""How often each word stands in bytes: a hash table in arrays; one process.

Words are runs of bytes between the six blanks of ASCII. Open addressing with linear
steps, FNV-1a with a last mix; words are compared, so equal hashes do no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import int64, uint64

from mpiapps.kernels.jit import inline, kernel
from mpiapps.kernels.text import separates

OFFSET, PRIME = 0xCBF29CE484222325, 0x100000001B3  # of FNV-1a, 64 bits
FIRST = 2**12  # slots
HEAP = 2**16  # bytes
# A row: place and length in the heap, how often it was met, hash; half a cache line.
BEGIN, LENGTH, COUNT, HASH = 0, 1, 2, 3
Store = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows; heap; words, bytes of it
BLANKS = np.frombuffer(b"\t\n\v\f\r ", np.uint8)


@inline
def _same(heap: Any, here: Any, data: Any, start: Any, length: Any) -> Any:
    k = 0
    while k < length and heap[here + k] == data[start + k]:
        k += 1
    return k == length


@inline
def _slot(store: Any, word: Any) -> Any:
    """Return the row of a word, its own or a free one."""
    table, heap, _ = store
    data, start, length, mark = word
    mask = len(table) - 1
    slot = int(uint64(mark) >> uint64(1)) & mask
    while table[slot, HASH] != 0 and not (
        table[slot, HASH] == mark
        and table[slot, LENGTH] == length
        and _same(heap, table[slot, BEGIN], data, start, length)
    ):
        slot = (slot + 1) & mask
    return slot


@inline
def _enter(store: Any, word: Any, slot: Any) -> Any:
    """Put a word into a free row; return false if there is no room."""
    table, heap, state = store
    data, start, length, mark = word
    if 2 * state[0] >= len(table) or state[1] + length > len(heap):
        return False
    table[slot, BEGIN], table[slot, LENGTH] = state[1], length
    table[slot, HASH] = mark
    for k in range(length):
        heap[state[1] + k] = data[start + k]
    state[0] += 1
    state[1] += length
    return True


@kernel
def _tally(block: np.ndarray, last: bool, store: Store) -> int:
    """Count words; return the bytes used: up to a word cut off, or without room."""
    table, i, n = store[0], 0, len(block)
    while True:
        while i < n and separates(block[i]):
            i += 1
        start, value = i, uint64(OFFSET)
        while i < n and not separates(block[i]):
            value = (value ^ uint64(block[i])) * uint64(PRIME)
            i += 1
        length = i - start
        if length == 0 or (i == n and not last):
            return start
        mark = int64((value ^ (value >> uint64(32))) | uint64(1))  # 0: a free row
        word = (block, start, length, mark)
        slot = _slot(store, word)
        if table[slot, HASH] == 0 and not _enter(store, word, slot):
            return start
        table[slot, COUNT] += 1


@kernel
def _merge(first: int, rows: np.ndarray, data: np.ndarray, store: Store) -> int:
    """Add the rows of another table from `first` on; return where room ended."""
    table = store[0]
    for k in range(first, len(rows)):
        mark = rows[k, HASH]
        if mark == 0:
            continue
        word = (data, rows[k, BEGIN], rows[k, LENGTH], mark)
        slot = _slot(store, word)
        if table[slot, HASH] == 0 and not _enter(store, word, slot):
            return k
        table[slot, COUNT] += rows[k, COUNT]
    return len(rows)


@kernel
def _rehash(old: np.ndarray, new: np.ndarray) -> None:
    """Put the rows of a table into a larger one."""
    for k in range(len(old)):
        if old[k, HASH] == 0:
            continue
        slot = int(uint64(old[k, HASH]) >> uint64(1)) & (len(new) - 1)
        while new[slot, HASH] != 0:
            slot = (slot + 1) & (len(new) - 1)
        new[slot] = old[k]


class Vocabulary:
    """Words and how often they were met. Local."""

    def __init__(self) -> None:
        self._table = np.zeros((FIRST, 4), np.int64)
        self._heap = np.empty(HEAP, np.uint8)
        self._state = np.zeros(2, np.int64)  # words; bytes of the heap

    def __len__(self) -> int:
        """Return the number of different words."""
        return int(self._state[0])

    def add(self, block: np.ndarray, last: bool = True) -> int:
        """Count the words of a block of uint8; return how many bytes were used.

        `last`: a word at the end of the block is whole; else it is left.
        """
        used = 0
        while True:
            rest = block[used:]
            n = _tally(rest, last, (self._table, self._heap, self._state))
            used += n
            if n == len(rest) or not self._grown(_first_word(rest[n:])):
                return used

    def merge(self, other: Vocabulary) -> None:
        """Add the words of another one."""
        rows, done = other._table, 0
        while done < len(rows):
            store = self._table, self._heap, self._state
            done = _merge(done, rows, other._heap, store)
            if done < len(rows):
                self._grown(int(rows[done, LENGTH]))

    def words(self) -> dict[bytes, int]:
        """Return how often each word was met."""
        data = self._heap.tobytes()
        rows = self._table[self._table[:, HASH] != 0].tolist()
        return {data[begin : begin + n]: count for begin, n, count, _ in rows}

    def _grown(self, need: int) -> bool:
        """Make room for a word of `need` bytes; return false if there is enough."""
        full = 2 * self._state[0] >= len(self._table)
        short = self._state[1] + need > len(self._heap)
        if full:
            table = np.zeros((4 * len(self._table), 4), np.int64)
            _rehash(self._table, table)
            self._table = table
        if short:
            size = max(4 * len(self._heap), 2 * (int(self._state[1]) + need))
            heap = np.empty(size, np.uint8)
            heap[: self._state[1]] = self._heap[: self._state[1]]
            self._heap = heap
        return bool(full or short)


def _first_word(block: np.ndarray) -> int:
    """Return the bytes before the first blank."""
    some = 64
    while True:
        blank = np.isin(block[:some], BLANKS)
        if blank.any() or some >= len(block):
            return int(blank.argmax()) if blank.any() else len(block)
        some *= 16


KERNELS: list[Callable[..., Any]] = [_tally, _merge, _rehash]
