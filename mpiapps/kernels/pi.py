"""Count darts inside the quarter circle, in integers.

A dart is a pair of b-bit integers (i, j) for the point ``((i + 1/2) / 2**b,
(j + 1/2) / 2**b)`` of the unit square. It misses the quarter circle if and only if
``i (i + 1) + j (j + 1) >= 2**(2 b)``. Both terms are even, so the top bit of the sum of
their halves is 1 for a miss: no comparison, no rounding.
"""

from __future__ import annotations

import math

import numpy as np

from mpiapps.kernels import u32
from mpiapps.kernels.jit import inline, kernel
from mpiapps.kernels.philox import Word, philox, words_at

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_SIGN = np.uint64(63)
_BIT = np.uint64(1)
_BIT32 = np.uint32(1)
_SIXTEEN = np.uint32(16)
_LOW16 = np.uint32(0xFFFF)
_SIGN32 = np.uint32(31)
# Indices counted in 32 bits before the sum in 64 bits; divides 2**32, so that the upper
# half of the counter is constant in the inner loop.
_STRIDE = 1 << 20


@inline
def _half_product(i: Word) -> Word:
    return u32.shr(u32.mul(i, u32.add(i, _BIT32)), _BIT32)


@inline
def _miss16(word: Word) -> Word:
    """Return 1 if the dart of two 16-bit coordinates in `word` misses, else 0."""
    w = u32.low(word)
    i = _half_product(u32.land(w, _LOW16))
    j = _half_product(u32.shr(w, _SIXTEEN))
    return u32.shr(u32.add(i, j), _SIGN32)


@inline
def _miss32(word_i: Word, word_j: Word) -> Word:
    """Return 1 if the dart of two 32-bit coordinates misses, else 0."""
    i, j = word_i & _LOW, word_j & _LOW
    return u32.low((((i * i + i) >> _BIT) + ((j * j + j) >> _BIT)) >> _SIGN)


@kernel
def misses16(seed: int, stream: int, first: int, last: int) -> int:
    """Return the misses of the four 16-bit darts of each index, `first` to `last`.

    The hot loop, which LLVM must vectorise. There may be at most 2**20 indices, all
    with the same upper 32 bits.
    """
    k0, k1, zero = np.uint64(seed), np.uint64(stream), np.uint64(0)
    start = np.uint64(first)
    high = start >> _HALF
    misses = np.uint32(0)
    for i in range(last - first):
        low = (start + np.uint64(i)) & _LOW
        a, b, c, d = philox(low, high, zero, zero, k0, k1)
        ab, cd = u32.add(_miss16(a), _miss16(b)), u32.add(_miss16(c), _miss16(d))
        misses = u32.add(misses, u32.add(ab, cd))
    return int(misses)


@kernel
def misses32(seed: int, stream: int, first: int, last: int) -> int:
    """Return the misses of the two 32-bit darts of each index; see `misses16`."""
    k0, k1, zero = np.uint64(seed), np.uint64(stream), np.uint64(0)
    start = np.uint64(first)
    high = start >> _HALF
    misses = np.uint32(0)
    for i in range(last - first):
        low = (start + np.uint64(i)) & _LOW
        a, b, c, d = philox(low, high, zero, zero, k0, k1)
        misses = u32.add(misses, u32.add(_miss32(a, b), _miss32(c, d)))
    return int(misses)


@inline
def _miss_of(dart: Word, wide: Word, k0: Word, k1: Word) -> Word:
    """Return 1 if the dart of number `dart` misses, else 0."""
    index = np.uint64(dart // 2 if wide else dart // 4)
    words = words_at(index, np.uint64(0), k0, k1)
    if wide:
        miss = _miss32(words[2 * (dart % 2)], words[2 * (dart % 2) + 1])
    else:
        miss = _miss16(words[dart % 4])
    return int(miss)


@kernel
def count_darts(seed: int, stream: int, first: int, last: int, wide: bool) -> int:
    """Return the number of darts `first` to `last` that hit the quarter circle.

    Dart n belongs to index ``n // 4`` of the random stream (16-bit coordinates) or
    ``n // 2`` (`wide`: 32-bit), so the hits do not depend on how a range is split.
    About 0.4 ns per dart with AVX-512, twice that if `wide`.

    Parameters
    ----------
    seed, stream : int
        The key, each from 0 to 2**32 - 1.
    first, last : int
        The range of darts, ``0 <= first <= last < 2**63``.
    wide : bool
        Whether coordinates have 32 bits rather than 16.
    """
    k0, k1 = np.uint64(seed), np.uint64(stream)
    darts_per_index = 2 if wide else 4
    # Indices from begin to end are complete; the darts before and after are not.
    begin = min(-(-first // darts_per_index) * darts_per_index, last)
    end = max(last // darts_per_index * darts_per_index, begin)
    misses = 0
    for dart in range(first, begin):
        misses += _miss_of(dart, wide, k0, k1)
    for dart in range(end, last):
        misses += _miss_of(dart, wide, k0, k1)
    index, stop = begin // darts_per_index, end // darts_per_index
    while index < stop:
        stride_stop = min(stop, (index // _STRIDE + 1) * _STRIDE)
        if wide:
            misses += misses32(seed, stream, index, stride_stop)
        else:
            misses += misses16(seed, stream, index, stride_stop)
        index = stride_stop
    return last - first - misses


@inline
def _root(square: Word) -> Word:
    """Return the integer square root; the floating-point root is off by at most 1."""
    root = np.int64(math.sqrt(square))
    if root * root > square:
        root -= 1
    elif (root + 1) * (root + 1) <= square:
        root += 1
    return root


@kernel
def count_strata(
    seed: int, stream: int, first: int, last: int, side: int
) -> tuple[int, int]:
    """Count two darts in each cell of rows `first` to `last` of a side x side grid.

    In a cell that the circle does not cross, both darts hit or both miss, so none is
    drawn. The remaining ``2 * side`` or so of ``side**2`` cells take about 20 ns each.
    Cell (i, j) draws from index j of block i.

    Parameters
    ----------
    seed, stream : int
        The key, each from 0 to 2**32 - 1.
    first, last : int
        Rows, ``0 <= first <= last <= side``.
    side : int
        Cells along a side, at most 2**30.

    Returns
    -------
    hits : int
        Number of darts that hit, of ``2 * side * (last - first)``.
    split : int
        Number of cells of which one dart hit and one missed, for the variance.
    """
    k0, k1 = np.uint64(seed), np.uint64(stream)
    unit = 1.0 / 2.0**32
    hits = split = 0
    for i in range(first, last):
        inside = _root(side * side - (i + 1) * (i + 1))
        outside = _root(side * side - i * i - 1) + 1
        hits += 2 * inside
        for j in range(inside, outside):
            a, b, c, d = words_at(np.uint64(j), np.uint64(i), k0, k1)
            room = (
                side * side - i * i - j * j
            )  # exact bound of the offsets' contribution
            x, y = ((a & _LOW) + 0.5) * unit, ((b & _LOW) + 0.5) * unit
            one = 2.0 * (i * x + j * y) + (x * x + y * y) < room
            x, y = ((c & _LOW) + 0.5) * unit, ((d & _LOW) + 0.5) * unit
            two = 2.0 * (i * x + j * y) + (x * x + y * y) < room
            hits += int(one) + int(two)
            split += int(one != two)
    return hits, split
