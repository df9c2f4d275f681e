"""How often each word stands in bytes: a hash table in arrays; one process.

Words are runs of bytes between the six blanks of ASCII. Open addressing with linear
steps over the numbers of rows, FNV-1a with a last mix; words are compared, so equal
hashes do no harm. A word costs 32 bytes in a row, 8 to 16 in slots, and its own.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numba import int64, uint64

from mpiapps.kernels.jit import inline, kernel
from mpiapps.kernels.text import separates

OFFSET, PRIME = 0xCBF29CE484222325, 0x100000001B3  # of FNV-1a, 64 bits
FIRST = 2**12  # slots
HEAP = 2**16  # bytes
# A row: place and length in the heap, how often it was met, hash.
BEGIN, LENGTH, COUNT, HASH = 0, 1, 2, 3
# Slots, each the number of a row from 1 or 0; rows; heap; rows and bytes in use.
Store = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
BLANKS = np.frombuffer(b"\t\n\v\f\r ", np.uint8)
KEY = 8  # bytes of a word that are compared at once


class Rows(NamedTuple):
    """Words in arrays, as they are sent.

    Attributes
    ----------
    rows : ndarray of int64, (words, 4)
    heap : ndarray of uint8
        The words' bytes.
    """

    rows: np.ndarray
    heap: np.ndarray


@inline
def _same(heap: Any, here: Any, data: Any, start: Any, length: Any) -> Any:
    k = 0
    while k < length and heap[here + k] == data[start + k]:
        k += 1
    return k == length


@inline
def _hash_more(value: Any, byte: Any) -> Any:
    return (value ^ uint64(byte)) * uint64(PRIME)


@inline
def _slot(store: Any, word: Any) -> Any:
    """Return the slot of a word, its own or a free one."""
    slots, rows, heap, _ = store
    data, start, length, mark = word
    mask = len(slots) - 1
    slot = int(uint64(mark) >> uint64(1)) & mask
    while slots[slot] != 0 and not (
        rows[slots[slot] - 1, HASH] == mark
        and rows[slots[slot] - 1, LENGTH] == length
        and _same(heap, rows[slots[slot] - 1, BEGIN], data, start, length)
    ):
        slot = (slot + 1) & mask
    return slot


@inline
def _add(store: Any, word: Any, times: Any) -> Any:
    """Add to the count of a word; return false if there is no room for it."""
    slots, rows, heap, state = store
    data, start, length, mark = word
    slot = _slot(store, word)
    n = int64(slots[slot]) - 1
    room = n >= 0
    if n < 0 and state[0] < len(rows) and state[1] + length <= len(heap):
        room = True
        n = state[0]
        slots[slot] = n + 1
        rows[n, BEGIN], rows[n, LENGTH] = state[1], length
        rows[n, COUNT], rows[n, HASH] = 0, mark
        for k in range(length):
            heap[state[1] + k] = data[start + k]
        state[0] += 1
        state[1] += length
    if room:
        rows[n, COUNT] += times
    return room


@inline
def _mark(value: Any) -> Any:
    return int64(value ^ (value >> uint64(32)))


@kernel
def _tally(block: np.ndarray, last: bool, store: Store) -> int:
    """Count words; return the bytes used: up to a word cut off, or without room."""
    i, n = 0, len(block)
    while True:
        while i < n and separates(block[i]):
            i += 1
        start, value = i, uint64(OFFSET)
        while i < n and not separates(block[i]):
            value = _hash_more(value, block[i])
            i += 1
        length = i - start
        if length == 0 or (i == n and not last):
            return start
        if not _add(store, (block, start, length, _mark(value)), 1):
            return start


@kernel
def _merge(first: int, rows: np.ndarray, data: np.ndarray, store: Store) -> int:
    """Add the rows of another table from `first` on; return where room ended."""
    for k in range(first, len(rows)):
        word = (data, rows[k, BEGIN], rows[k, LENGTH], rows[k, HASH])
        if not _add(store, word, rows[k, COUNT]):
            return k
    return len(rows)


@kernel
def _fill(slots: np.ndarray, rows: np.ndarray) -> None:
    """Put the numbers of rows into slots that are free."""
    mask = len(slots) - 1
    for k in range(len(rows)):
        slot = int(uint64(rows[k, HASH]) >> uint64(1)) & mask
        while slots[slot] != 0:
            slot = (slot + 1) & mask
        slots[slot] = k + 1


@kernel
def _hash_rows(rows: np.ndarray, heap: np.ndarray) -> None:
    """Fill the hashes of rows."""
    for k in range(len(rows)):
        value = uint64(OFFSET)
        for i in range(rows[k, BEGIN], rows[k, BEGIN] + rows[k, LENGTH]):
            value = _hash_more(value, heap[i])
        rows[k, HASH] = _mark(value)


@kernel
def _copy(rows: np.ndarray, heap: np.ndarray, new: np.ndarray) -> None:
    """Copy the words of rows into a new heap, one behind the other."""
    place = 0
    for k in range(len(rows)):
        begin = rows[k, BEGIN]
        rows[k, BEGIN] = place
        for i in range(rows[k, LENGTH]):
            new[place + i] = heap[begin + i]
        place += rows[k, LENGTH]


@kernel
def _keys(rows: np.ndarray, heap: np.ndarray, keys: np.ndarray) -> None:
    """Fill numbers in the order of the words' first bytes."""
    for k in range(len(rows)):
        key = uint64(0)
        for i in range(KEY):
            byte = heap[rows[k, BEGIN] + i] if i < rows[k, LENGTH] else 0
            key = key << uint64(8) | uint64(byte)
        keys[k] = key


class Vocabulary:
    """Words and how often they were met. Local."""

    def __init__(self) -> None:
        self._slots = np.zeros(FIRST, np.uint32)
        self._rows = np.empty((FIRST // 2, 4), np.int64)
        self._heap = np.empty(HEAP, np.uint8)
        self._state = np.zeros(2, np.int64)  # rows and bytes of the heap in use

    def __len__(self) -> int:
        """Return the number of different words."""
        return int(self._state[0])

    @property
    def rows(self) -> Rows:
        """The words in arrays, which are not copied."""
        return Rows(self._rows[: len(self)], self._heap[: self._state[1]])

    def add(self, block: np.ndarray, last: bool = True) -> int:
        """Count the words of a block of uint8; return how many bytes were used.

        `last`: a word at the end of the block is whole; else it is left.
        """
        used = 0
        while True:
            rest = block[used:]
            n = _tally(rest, last, self._store())
            used += n
            if n == len(rest) or not self._grown(_first_word(rest[n:])):
                return used

    def merge(self, other: Rows) -> None:
        """Add other words."""
        done = 0
        while done < len(other.rows):
            done = _merge(done, other.rows, other.heap, self._store())
            if done < len(other.rows):
                self._grown(int(other.rows[done, LENGTH]))

    def update(self, words: Mapping[bytes, int]) -> None:
        """Add words from a dict."""
        rows = np.zeros((len(words), 4), np.int64)
        rows[:, LENGTH] = [len(word) for word in words]
        rows[:, BEGIN] = np.cumsum(rows[:, LENGTH]) - rows[:, LENGTH]
        rows[:, COUNT] = list(words.values())
        heap = np.frombuffer(b"".join(words), np.uint8)
        _hash_rows(rows, heap)
        self.merge(Rows(rows, heap))

    def words(self) -> dict[bytes, int]:
        """Return how often each word was met."""
        return dict(_pairs(self.rows))

    def split(self, n: int) -> list[Rows]:
        """Return the words in `n` shares; the same word is in the same one of all."""
        rows, heap = self.rows
        owners = (rows[:, HASH].view(np.uint64) >> np.uint64(40)) % np.uint64(n)
        shares = []
        for owner in range(n):
            some = rows[owners == owner]
            new = np.empty(int(some[:, LENGTH].sum()), np.uint8)
            _copy(some, heap, new)
            shares.append(Rows(some, new))
        return shares

    def most(self, n: int) -> list[tuple[bytes, int]]:
        """Return the `n` words met most often; of equal ones the first by bytes."""
        rows, heap = self.rows
        if n < len(rows):
            counts = rows[:, COUNT]
            least = np.partition(counts, len(rows) - n)[len(rows) - n]
            more, equal = rows[counts > least], rows[counts == least]
            keys = np.empty(len(equal), np.uint64)
            _keys(equal, heap, keys)
            left = n - len(more)
            some = equal[keys <= np.partition(keys, left - 1)[left - 1]]
            rows = np.concatenate((more, some))
        return first(_pairs(Rows(rows, heap)), n)

    def _store(self) -> Store:
        return self._slots, self._rows, self._heap, self._state

    def _grown(self, need: int) -> bool:
        """Make room for a word of `need` bytes; return false if there is enough."""
        used, size = self._state.tolist()
        full = used == len(self._rows)
        short = size + need > len(self._heap)
        if full:
            self._rows = _larger(self._rows, 2 * used)
            self._slots = np.zeros(2 * len(self._slots), np.uint32)
            _fill(self._slots, self._rows[:used])
        if short:
            self._heap = _larger(self._heap, 2 * max(len(self._heap), need))
        return bool(full or short)


def first(pairs: Iterable[tuple[bytes, int]], n: int) -> list[tuple[bytes, int]]:
    """Return the `n` words with the largest counts, in order. Local."""
    return heapq.nsmallest(n, pairs, key=lambda pair: (-pair[1], pair[0]))


def _pairs(words: Rows) -> Iterator[tuple[bytes, int]]:
    data = words.heap.data
    for begin, n, count, _ in words.rows.tolist():
        yield bytes(data[begin : begin + n]), count


def _larger(array: np.ndarray, size: int) -> np.ndarray:
    new = np.empty((size, *array.shape[1:]), array.dtype)
    new[: len(array)] = array
    return new


def _first_word(block: np.ndarray) -> int:
    """Return the bytes before the first blank."""
    some = 64
    while True:
        blank = np.isin(block[:some], BLANKS)
        if blank.any() or some >= len(block):
            return int(blank.argmax()) if blank.any() else len(block)
        some *= 16


KERNELS: list[Callable[..., Any]] = [_tally, _merge, _fill, _hash_rows, _copy, _keys]
