"""Counts of the words in bytes: a hash table in arrays; one process.

Words are runs of bytes between the six ASCII blanks. Open addressing with linear
probing; FNV-1a with a final mix; words of equal hash are compared. A word takes 32
bytes in a row, 8 to 16 in slots, and its own bytes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numba import int64, uint64

from mpiapps.kernels.jit import inline, kernel
from mpiapps.kernels.utf8 import separates

OFFSET, PRIME = 0xCBF29CE484222325, 0x100000001B3  # of FNV-1a, 64 bits
INITIAL_SLOTS, INITIAL_HEAP_BYTES = 2**12, 2**16
# Columns of a row: offset and length of the word in the heap, count, hash.
BEGIN, LENGTH, COUNT, HASH = 0, 1, 2, 3
# Slots (0, or a row index plus 1), rows, heap, numbers of rows and heap bytes in use.
Store = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
BLANKS = np.frombuffer(b"\t\n\v\f\r ", np.uint8)
KEY_BYTES = 8  # of a word, as a sort key


class WordArrays(NamedTuple):
    """Counted words as arrays.

    Attributes
    ----------
    rows : ndarray of int64, (words, 4)
    heap : ndarray of uint8
        Bytes of the words.
    """

    rows: np.ndarray
    heap: np.ndarray


@inline
def _equal(heap: Any, begin: Any, data: Any, start: Any, length: Any) -> Any:
    k = 0
    while k < length and heap[begin + k] == data[start + k]:
        k += 1
    return k == length


@inline
def hash_more(value: Any, byte: Any) -> Any:
    """Return the hash of a word and one more byte, as uint64."""
    return (value ^ uint64(byte)) * uint64(PRIME)


@inline
def _slot(store: Any, word: Any) -> Any:
    """Return the slot of a word: its own, or a free one."""
    slots, rows, heap, _ = store
    data, start, length, mark = word
    mask = len(slots) - 1
    slot = int(uint64(mark) >> uint64(1)) & mask
    while slots[slot] != 0 and not (
        rows[slots[slot] - 1, HASH] == mark
        and rows[slots[slot] - 1, LENGTH] == length
        and _equal(heap, rows[slots[slot] - 1, BEGIN], data, start, length)
    ):
        slot = (slot + 1) & mask
    return slot


@inline
def add_word(store: Any, word: Any, increment: Any) -> Any:
    """Add to the count of a word; return its row, or -1 if there is no room for it."""
    slots, rows, heap, state = store
    data, start, length, mark = word
    slot = _slot(store, word)
    n = int64(slots[slot]) - 1
    if n < 0 and state[0] < len(rows) and state[1] + length <= len(heap):
        n = state[0]
        slots[slot] = n + 1
        rows[n, BEGIN], rows[n, LENGTH] = state[1], length
        rows[n, COUNT], rows[n, HASH] = 0, mark
        for k in range(length):
            heap[state[1] + k] = data[start + k]
        state[0] += 1
        state[1] += length
    if n >= 0:
        rows[n, COUNT] += increment
    return n


@inline
def hash_mark(value: Any) -> Any:
    """Return the final mix of a hash, as int64."""
    return int64(value ^ (value >> uint64(32)))


@kernel
def _tally(block: np.ndarray, last: bool, store: Store) -> int:
    """Count words; return the bytes used, up to a word truncated or without room."""
    i, n = 0, len(block)
    while True:
        while i < n and separates(block[i]):
            i += 1
        start, value = i, uint64(OFFSET)
        while i < n and not separates(block[i]):
            value = hash_more(value, block[i])
            i += 1
        length = i - start
        if length == 0 or (i == n and not last):
            return start
        if add_word(store, (block, start, length, hash_mark(value)), 1) < 0:
            return start


@kernel
def _merge(first: int, rows: np.ndarray, data: np.ndarray, store: Store) -> int:
    """Add rows of another table from `first` on; return the first one without room."""
    for k in range(first, len(rows)):
        word = (data, rows[k, BEGIN], rows[k, LENGTH], rows[k, HASH])
        if add_word(store, word, rows[k, COUNT]) < 0:
            return k
    return len(rows)


@kernel
def _fill(slots: np.ndarray, rows: np.ndarray) -> None:
    """Insert the rows into empty slots."""
    mask = len(slots) - 1
    for k in range(len(rows)):
        slot = int(uint64(rows[k, HASH]) >> uint64(1)) & mask
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = k + 1


@kernel
def _hash_rows(rows: np.ndarray, heap: np.ndarray) -> None:
    """Compute the hashes of rows."""
    for k in range(len(rows)):
        value = uint64(OFFSET)
        for i in range(rows[k, BEGIN], rows[k, BEGIN] + rows[k, LENGTH]):
            value = hash_more(value, heap[i])
        rows[k, HASH] = hash_mark(value)


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


@kernel
def _keys(rows: np.ndarray, heap: np.ndarray, keys: np.ndarray) -> None:
    """Fill the first bytes of the words as big-endian integers."""
    for k in range(len(rows)):
        key = uint64(0)
        for i in range(KEY_BYTES):
            byte = heap[rows[k, BEGIN] + i] if i < rows[k, LENGTH] else 0
            key = key << uint64(8) | uint64(byte)
        keys[k] = key


class WordCounts:
    """A table of words and their counts."""

    def __init__(self) -> None:
        self._slots = np.zeros(INITIAL_SLOTS, np.uint32)
        self._rows = np.empty((INITIAL_SLOTS // 2, 4), np.int64)
        self._heap = np.empty(INITIAL_HEAP_BYTES, np.uint8)
        self._state = np.zeros(2, np.int64)  # rows and heap bytes in use

    def __len__(self) -> int:
        """Return the number of distinct words."""
        return int(self._state[0])

    @property
    def arrays(self) -> WordArrays:
        """The words as arrays, without a copy."""
        return WordArrays(self._rows[: len(self)], self._heap[: self._state[1]])

    def add(self, block: np.ndarray, last: bool = True) -> int:
        """Count the words of a block of uint8; return the number of bytes used.

        `last`: whether a word at the end of the block is complete; else it is not used.
        """
        used = 0
        while True:
            rest = block[used:]
            n = _tally(rest, last, self._store())
            used += n
            if n == len(rest) or not self._grow(_first_word_length(rest[n:])):
                return used

    def merge(self, other: WordArrays) -> None:
        """Add the counts of another table."""
        done = 0
        while done < len(other.rows):
            done = _merge(done, other.rows, other.heap, self._store())
            if done < len(other.rows):
                self._grow(int(other.rows[done, LENGTH]))

    def update(self, words: Mapping[bytes, int]) -> None:
        """Add the counts in a dict."""
        rows = np.zeros((len(words), 4), np.int64)
        rows[:, LENGTH] = [len(word) for word in words]
        rows[:, BEGIN] = np.cumsum(rows[:, LENGTH]) - rows[:, LENGTH]
        rows[:, COUNT] = list(words.values())
        heap = np.frombuffer(bytearray().join(words), np.uint8)
        _hash_rows(rows, heap)
        self.merge(WordArrays(rows, heap))

    def as_dict(self) -> dict[bytes, int]:
        """Return the count of each word."""
        return dict(_pairs(self.arrays))

    def split(self, n: int) -> list[WordArrays]:
        """Return the words in `n` shares; a word is in the same share on all ranks."""
        rows, heap = self.arrays
        owners = (rows[:, HASH].view(np.uint64) >> np.uint64(40)) % np.uint64(n)
        shares = []
        for owner in range(n):
            share = rows[owners == owner]
            share_heap = np.empty(int(share[:, LENGTH].sum()), np.uint8)
            copy_words(share, heap, share_heap)
            shares.append(WordArrays(share, share_heap))
        return shares

    def most_frequent(self, n: int) -> list[tuple[bytes, int]]:
        """Return the `n` most frequent words; equal counts in the order of bytes."""
        rows, heap = self.arrays
        if n < len(rows):
            counts = rows[:, COUNT]
            least = np.partition(counts, len(rows) - n)[len(rows) - n]
            more, equal = rows[counts > least], rows[counts == least]
            keys = np.empty(len(equal), np.uint64)
            _keys(equal, heap, keys)
            missing = n - len(more)
            equal = equal[keys <= np.partition(keys, missing - 1)[missing - 1]]
            rows = np.concatenate((more, equal))
        return most_frequent(_pairs(WordArrays(rows, heap)), n)

    def _store(self) -> Store:
        return self._slots, self._rows, self._heap, self._state

    def _grow(self, need: int) -> bool:
        """Make room for a word of `need` bytes; return False if there is enough."""
        used, size = self._state.tolist()
        full = used == len(self._rows)
        short = size + need > len(self._heap)
        if full:
            self._rows = larger(self._rows, 2 * used)
            self._slots = np.zeros(2 * len(self._slots), np.uint32)
            _fill(self._slots, self._rows[:used])
        if short:
            self._heap = larger(self._heap, 2 * max(len(self._heap), need))
        return bool(full or short)


def most_frequent(
    pairs: Iterable[tuple[bytes, int]], n: int
) -> list[tuple[bytes, int]]:
    """Return the `n` words with the largest counts, sorted."""
    return heapq.nsmallest(n, pairs, key=lambda pair: (-pair[1], pair[0]))


def _pairs(words: WordArrays) -> Iterator[tuple[bytes, int]]:
    data = words.heap.data
    for begin, n, count, _ in words.rows.tolist():
        yield bytes(data[begin : begin + n]), count


def larger(array: np.ndarray, size: int) -> np.ndarray:
    """Return a copy of an array with more rows; the values of these are undefined."""
    new = np.empty((size, *array.shape[1:]), array.dtype)
    new[: len(array)] = array
    return new


def _first_word_length(block: np.ndarray) -> int:
    """Return the number of bytes before the first blank."""
    searched = 64
    while True:
        blank = np.isin(block[:searched], BLANKS)
        if blank.any() or searched >= len(block):
            return int(blank.argmax()) if blank.any() else len(block)
        searched *= 16


KERNELS: list[Callable[..., Any]] = [_tally, _merge, _fill, _hash_rows, copy_words,
                                     _keys]  # fmt: skip
