"""Counts of the words in bytes: a hash table in arrays; one process.

Words are runs of bytes between the six ASCII blanks. Open addressing with linear
probing; words of equal hash are compared, unless they are short. A word takes 32 bytes
in a row, 8 to 16 in slots, and its own bytes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numba import int64, uint64

from mpiapps.kernels.bits import prefetch
from mpiapps.kernels.jit import kernel
from mpiapps.kernels.word_edges import (
    BEGIN,
    COLUMNS,
    COUNT,
    HASH,
    LENGTH,
    Store,
    copy_words,
    find_edges,
    find_slot,
    insert_word,
    table_of,
    word_mark,
)
from mpiapps.kernels.word_edges import KERNELS as WORD_KERNELS

INITIAL_SLOTS, INITIAL_HEAP_BYTES = 2**12, 2**16
AHEAD = 16  # rows whose slots are requested before they are looked up
PART_BYTES = 2**11  # whose words are found before any is looked up
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


@kernel
def _tally(block: np.ndarray, last: bool, store: Store) -> int:
    """Count words; return the bytes used, up to a word truncated or without room."""
    text, size, (slots, rows, _, _) = block.ctypes.data, len(block), store
    table = table_of(store)
    edges, marks = np.empty(PART_BYTES + 2, np.int64), np.empty(PART_BYTES, np.int64)
    mask, n = len(slots) - 1, 0
    for begin in range(0, size, PART_BYTES):
        stop = min(size, begin + PART_BYTES)
        n = find_edges(block, begin, stop, edges, n)
        if stop == size and n % 2 and last:
            edges[n] = size
            n += 1
        for k in range(n // 2):
            start = edges[2 * k]
            marks[k] = word_mark(text, size, start, edges[2 * k + 1] - start)
            prefetch(slots, int(uint64(marks[k]) >> uint64(1)) & mask)
        for k in range(n // 2):
            start, end, mark = edges[2 * k], edges[2 * k + 1], marks[k]
            slot = find_slot(table, (text, start, end - start, mark))
            row = int64(slots[slot]) - 1
            if row < 0:
                row = insert_word(store, block, slot, (start, end - start, mark))
                if row < 0:
                    return int(start)
            rows[row, COUNT] += 1
        if n % 2:  # a word that has not ended
            edges[0] = edges[n - 1]
        n %= 2
    return int(edges[0]) if n else size


@kernel
def _merge(first: int, rows: np.ndarray, data: np.ndarray, store: Store) -> int:
    """Add rows of another table from `first` on; return the first one without room."""
    slots, own, _, _ = store
    table, text, mask = table_of(store), data.ctypes.data, len(slots) - 1
    for k in range(first, len(rows)):
        later = rows[min(k + AHEAD, len(rows) - 1), HASH]
        prefetch(slots, int(uint64(later) >> uint64(1)) & mask)
        word = (rows[k, BEGIN], rows[k, LENGTH], rows[k, HASH])
        slot = find_slot(table, (text, *word))
        row = int64(slots[slot]) - 1
        if row < 0:
            row = insert_word(store, data, slot, word)
            if row < 0:
                return k
        own[row, COUNT] += rows[k, COUNT]
    return len(rows)


@kernel
def _fill(slots: np.ndarray, rows: np.ndarray) -> None:
    """Insert the rows into empty slots."""
    mask = len(slots) - 1
    for k in range(len(rows)):
        later = rows[min(k + AHEAD, len(rows) - 1), HASH]
        prefetch(slots, int(uint64(later) >> uint64(1)) & mask)
        slot = int(uint64(rows[k, HASH]) >> uint64(1)) & mask
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = k + 1


@kernel
def _hash_rows(rows: np.ndarray, heap: np.ndarray) -> None:
    """Compute the hashes of rows."""
    text = heap.ctypes.data
    for k in range(len(rows)):
        begin, length = rows[k, BEGIN], rows[k, LENGTH]
        rows[k, HASH] = word_mark(text, len(heap), begin, length)


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
        self._rows = np.empty((INITIAL_SLOTS // 2, COLUMNS), np.int64)
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
        rows = np.zeros((len(words), COLUMNS), np.int64)
        rows[:, LENGTH] = [len(word) for word in words]
        rows[:, BEGIN] = np.cumsum(rows[:, LENGTH]) - rows[:, LENGTH]
        rows[:, COUNT] = list(words.values())
        heap = np.frombuffer(bytearray().join(words), np.uint8)
        _hash_rows(rows, heap)
        self.merge(WordArrays(rows, heap))

    def as_dict(self) -> dict[bytes, int]:
        """Return the count of each word."""
        return dict(_pairs(self.arrays))

    def split(self, n: int, own: int) -> list[WordArrays]:
        """Return the words in `n` shares; that of number `own` is empty."""
        rows, heap = self.arrays
        owners, shares = owners_of(rows, n), []
        for owner in range(n):
            share = rows[(owners == owner) & (owner != own)]
            share_heap = np.empty(int(share[:, LENGTH].sum()), np.uint8)
            copy_words(share, heap, share_heap)
            shares.append(WordArrays(share, share_heap))
        return shares

    def most_frequent(
        self, n: int, parts: int = 1, own: int = 0
    ) -> list[tuple[bytes, int]]:
        """Return the `n` most frequent words; equal counts in the order of bytes.

        Only words of share `own` of `parts` count, as of `split`.
        """
        rows, heap = self.arrays
        if parts > 1:
            rows = rows[owners_of(rows, parts) == own]
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


def owners_of(rows: np.ndarray, n: int) -> np.ndarray:
    """Return for each word which of `n` shares it is in, the same on all ranks."""
    hashes = rows[:, HASH].view(np.uint64)
    owners: np.ndarray = (hashes >> np.uint64(40)) % np.uint64(n)
    return owners


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


KERNELS: list[Callable[..., Any]] = [
    *WORD_KERNELS,
    *(_tally, _merge, _fill, _hash_rows, _keys),
]
