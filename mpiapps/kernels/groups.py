"""Counts and exact sums of numbers by key: a hash table in arrays; one process.

The keys are in a table of `words`. A sum is an integer in cells of 32 bits and carries,
as in `moments`, of which a group has only those that numbers reach: some 5 of 68.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import int64

from mpiapps.kernels.bits import read_byte
from mpiapps.kernels.jit import inline, kernel
from mpiapps.kernels.records import RETURN
from mpiapps.kernels.word_edges import (
    BEGIN,
    COUNT,
    HASH,
    LENGTH,
    Store,
    find_slot,
    insert_word,
    table_of,
    word_mark,
)
from mpiapps.kernels.words import WordArrays

DONE, NO_ROOM, QUOTED_KEY = 0, 1, 2  # reasons to end
CELL_BITS = 32  # of 64; the upper ones hold carries
VALUE_CELLS, CARRY_CELLS = 3, 1  # that a number may need
CARRY_INTERVAL = 2**30  # additions between propagations of the carries
Sums = tuple[np.ndarray, np.ndarray, int]  # others, cells, power of the first cell / 32


class GroupArrays(NamedTuple):
    """Groups as arrays.

    Attributes
    ----------
    keys : WordArrays
        The column `COUNT` has the numbers of each group.
    others : ndarray of int64, (groups,)
        Values that are not finite numbers.
    cells : ndarray of int64, (groups, width)
        The sum of a group is that of ``cell[k] * 2**(32 * (first + k) - 1074)``.
    first : int
    """

    keys: WordArrays
    others: np.ndarray
    cells: np.ndarray
    first: int


@inline
def _add_word(store: Any, word: Any, increment: Any) -> Any:
    """Add to the count of a word; return its row, or -1 if there is no room for it.

    `word`: an array of bytes, offset and length of the word, its `word_mark`.
    """
    data, start, length, mark = word
    slot = find_slot(table_of(store), (data.ctypes.data, start, length, mark))
    n = int64(store[0][slot]) - 1
    if n < 0:
        n = insert_word(store, data, slot, (start, length, mark))
    if n >= 0:
        store[1][n, COUNT] += increment
    return n


@kernel
def cell_range(values: np.ndarray, bits: np.ndarray) -> tuple[int, int]:
    """Return the least cell of the finite numbers, and the cell after the last one."""
    least, most = 2**11, 0
    for n in range(len(values)):
        if np.isfinite(values[n]):
            exponent = (bits[n] >> 52) & 0x7FF
            least, most = min(least, exponent), max(most, exponent)
    if least == 2**11:
        return 0, 0
    return max(0, least - 1) // CELL_BITS, max(0, most - 1) // CELL_BITS + VALUE_CELLS


@kernel
def carry_rows(cells: np.ndarray) -> None:
    """Propagate carries: bring all cells but the last below 2**32."""
    for row in cells:
        for k in range(len(row) - 1):
            row[k + 1] += row[k] >> CELL_BITS
            row[k] &= 2**CELL_BITS - 1


@kernel
def _add_bits(bits: int, cells: np.ndarray, row: int, first: int) -> None:
    """Add the number of these bits to the cells of a row."""
    exponent = (bits >> 52) & 0x7FF
    mantissa = bits & (2**52 - 1)
    if exponent > 0:
        mantissa |= 2**52
        exponent -= 1
    if bits < 0:
        mantissa = -mantissa
    cell, shift = exponent // CELL_BITS - first, exponent % CELL_BITS
    low = (mantissa & (2**CELL_BITS - 1)) << shift
    high = (mantissa >> CELL_BITS) << shift
    cells[row, cell] += low & (2**CELL_BITS - 1)
    cells[row, cell + 1] += (low >> CELL_BITS) + (high & (2**CELL_BITS - 1))
    cells[row, cell + 2] += high >> CELL_BITS


@kernel
def add_rows(
    keys: tuple[np.ndarray, np.ndarray, int, bool],
    numbers: tuple[np.ndarray, np.ndarray],
    store: Store,
    sums: Sums,
    start: int,
) -> tuple[int, int]:
    """Add values to the groups of their keys, from the index `start` on.

    Parameters
    ----------
    keys : tuple
        Bytes, spans of the keys, the quote or -1, and whether a key may end with a
        carriage return that does not belong to it.
    numbers : tuple of ndarray
        Values as float64, and their bits as int64.
    store, sums : tuple
        Updated.

    Returns
    -------
    int, int
        Index of the next value, and the reason to end.
    """
    data, spans, quote, strip = keys
    values, bits = numbers
    others, cells, first = sums
    text = data.ctypes.data
    for n in range(start, len(values)):
        begin, end = int64(spans[n, 0]), int64(spans[n, 1])
        if strip and end > begin and read_byte(text, end - 1) == RETURN:
            end -= 1
        if end > begin and read_byte(text, begin) == quote:
            if end < begin + 2 or read_byte(text, end - 1) != quote:
                return n, QUOTED_KEY
            begin, end = begin + 1, end - 1
            for i in range(begin, end):
                if read_byte(text, i) == quote:
                    return n, QUOTED_KEY
        mark = word_mark(text, len(data), begin, end - begin)
        finite = np.isfinite(values[n])
        word = (data, begin, end - begin, mark)
        row = _add_word(store, word, int64(finite))
        if row < 0:
            return n, NO_ROOM
        if finite:
            _add_bits(bits[n], cells, row, first)
        else:
            others[row] += 1
    return len(values), DONE


@kernel
def merge_groups(
    start: int,
    words: tuple[np.ndarray, np.ndarray],
    added: Sums,
    store: Store,
    sums: Sums,
) -> int:
    """Add the groups of another table from `start` on; return the next one."""
    rows, data = words
    others, cells, first = sums
    more_others, more_cells, more_first = added
    shift = more_first - first
    for k in range(start, len(rows)):
        word = (data, rows[k, BEGIN], rows[k, LENGTH], rows[k, HASH])
        row = _add_word(store, word, rows[k, COUNT])
        if row < 0:
            return k
        others[row] += more_others[k]
        for i in range(more_cells.shape[1]):
            cells[row, shift + i] += more_cells[k, i]
    return len(rows)


KERNELS: list[Callable[..., Any]] = [
    cell_range,
    carry_rows,
    add_rows,
    merge_groups,
]
