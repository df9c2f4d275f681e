"""Digits of `mpiapps.kernels.sum_states`, summed by columns in vectors; one process."""

from __future__ import annotations

import numpy as np

from mpiapps.kernels.bits import as_float64, as_int64, prefetch
from mpiapps.kernels.jit import kernel
from mpiapps.kernels.sum_states import (
    BIN,
    DIGIT_BITS,
    DIGITS,
    LIMIT,
    MAGIC,
    MAGNITUDE,
    SCALED,
)

LANES = 256  # columns at a time, whose sums stay in the L1 cache
PLANE = 264  # from one array of lanes to the next; not a power of two
ROWS = 4  # at a time
FIRST = 8  # numbers of a row or column that determine its first bin


@kernel
def fold_columns(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray,
    start: int,
    stride: int,
    rows: int,
    lanes: int,
    mask: int,
    m: np.ndarray,
    s: np.ndarray,
) -> None:
    """Add the digits of a multiple of `ROWS` rows to the first three planes of s.

    The fourth becomes negative where a number is above the fifth. The planes of m are
    the magic numbers. Constant distances between planes let LLVM see that they do not
    overlap. `as_int64` converts float32 to float64 by its signature.
    """
    for i in range(0, rows, ROWS):
        p = start + i * stride
        for row in range(ROWS, 2 * ROWS):
            for k in range(0, lanes, 8):
                prefetch(a, p + row * stride + k)
        a0, a1 = a[p : p + lanes], a[p + stride : p + stride + lanes]
        p += 2 * stride
        a2, a3 = a[p : p + lanes], a[p + stride : p + stride + lanes]
        for j in range(lanes):
            m0, m1, m2 = m[j], m[PLANE + j], m[2 * PLANE + j]
            b0, b1 = as_int64(a0[j]) & mask, as_int64(a1[j]) & mask
            b2, b3 = as_int64(a2[j]) & mask, as_int64(a3[j]) & mask
            x0, x1, x2, x3 = (
                as_float64(b0),
                as_float64(b1),
                as_float64(b2),
                as_float64(b3),
            )
            limit = s[4 * PLANE + j]
            s[3 * PLANE + j] |= (
                (limit - (b0 & MAGNITUDE))
                | (limit - (b1 & MAGNITUDE))
                | (limit - (b2 & MAGNITUDE))
                | (limit - (b3 & MAGNITUDE))
            )
            y0, y1, y2, y3 = x0 + m0, x1 + m0, x2 + m0, x3 + m0
            s[j] += as_int64(y0) + as_int64(y1) + as_int64(y2) + as_int64(y3)
            x0, x1, x2, x3 = (
                x0 - (y0 - m0),
                x1 - (y1 - m0),
                x2 - (y2 - m0),
                x3 - (y3 - m0),
            )
            y0, y1, y2, y3 = x0 + m1, x1 + m1, x2 + m1, x3 + m1
            s[PLANE + j] += as_int64(y0) + as_int64(y1) + as_int64(y2) + as_int64(y3)
            x0, x1, x2, x3 = (
                x0 - (y0 - m1),
                x1 - (y1 - m1),
                x2 - (y2 - m1),
                x3 - (y3 - m1),
            )
            y0, y1, y2, y3 = x0 + m2, x1 + m2, x2 + m2, x3 + m2
            s[2 * PLANE + j] += (
                as_int64(y0) + as_int64(y1) + as_int64(y2) + as_int64(y3)
            )


@kernel
def _fold_row(row: np.ndarray, mask: int, m: np.ndarray, s: np.ndarray) -> None:
    """Add the digits of one row, as `fold_columns`."""
    for j in range(len(row)):
        bits = as_int64(row[j]) & mask
        s[3 * PLANE + j] |= s[4 * PLANE + j] - (bits & MAGNITUDE)
        x, m0, m1, m2 = as_float64(bits), m[j], m[PLANE + j], m[2 * PLANE + j]
        y = x + m0
        s[j] += as_int64(y)
        x -= y - m0
        y = x + m1
        s[PLANE + j] += as_int64(y)
        x -= y - m1
        s[2 * PLANE + j] += as_int64(x + m2)


@kernel
def fold_tiles(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray,
    start: int,
    stride: int,
    rows: int,
    mask: int,
    state: np.ndarray,
    left: np.ndarray,
) -> int:
    """Add columns to n sums, `LANES` at a time; return how many are left.

    Left, and marked in `left`, are columns with numbers in the bin `SCALED`, infinities
    or NaN.
    """
    m, s = np.empty(DIGITS * PLANE), np.empty(5 * PLANE, np.int64)
    magic, bins = m.view(np.int64), np.empty(LANES, np.int64)
    count = 0
    for j in range(0, len(left), LANES):
        lanes = min(LANES, len(left) - j)
        is_left, old = left[j : j + lanes], state[0, j : j + lanes]
        find_bins(a, start + j, stride, min(rows, FIRST), mask, bins[:lanes])
        for k in range(lanes):
            bins[k] = old[k] if old[k] >= 0 else bins[k]
        # A second time with the bins of all rows, if a number is above.
        while fold_tile(a, start + j, stride, rows, mask, bins, is_left, m, s):
            find_bins(a, start + j, stride, rows, mask, bins[:lanes])
            for k in range(lanes):
                bins[k] = max(bins[k], old[k])
        for k in range(lanes):
            count += is_left[k]
            if not is_left[k]:
                _raise_bin(state[:, j + k], bins[k])
                for digit in range(DIGITS):
                    plane = digit * PLANE + k
                    add_digit(state, digit, j + k, s[plane] - rows * magic[plane])
    return count


@kernel
def fold_tile(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray,
    start: int,
    stride: int,
    rows: int,
    mask: int,
    bins: np.ndarray,
    is_left: np.ndarray,
    m: np.ndarray,
    s: np.ndarray,
) -> bool:
    """Set planes to the digits of columns in bins; return whether a number is above.

    `is_left` is set for bins from `SCALED` on, whose planes are not used.
    """
    lanes, magic, whole = len(is_left), m.view(np.int64), rows // ROWS * ROWS
    for k in range(lanes):
        is_left[k] = bins[k] >= SCALED
        top = bins[k] * (bins[k] < SCALED)
        s[k] = s[PLANE + k] = s[2 * PLANE + k] = s[3 * PLANE + k] = 0
        s[4 * PLANE + k] = LIMIT + top * BIN
        for digit in range(DIGITS):
            magic[digit * PLANE + k] = MAGIC[digit] + top * BIN
    fold_columns(a, start, stride, whole, lanes, mask, m, s)
    for i in range(whole, rows):
        p = start + i * stride
        _fold_row(a[p : p + lanes], mask, m, s)
    above = False
    for k in range(lanes):
        above |= s[3 * PLANE + k] < 0 and not is_left[k]
    return above


@kernel
def add_digit(state: np.ndarray, digit: int, j: int, number: int) -> None:
    """Add to a digit of sum j, and carry, as `sum_states.carry`."""
    total = state[1 + digit, j] + number
    state[1 + DIGITS + digit, j] += total >> DIGIT_BITS
    state[1 + digit, j] = total & ((1 << DIGIT_BITS) - 1)


@kernel
def _raise_bin(sums: np.ndarray, top: int) -> None:
    """Raise the bin of a sum; lower digits are dropped."""
    distance = top - sums[0]
    if sums[0] >= 0 and distance > 0:
        for digit in range(DIGITS - 1, -1, -1):  # moved down, the last one first
            for row in (1 + digit, 1 + DIGITS + digit):
                sums[row] = sums[row - distance] if digit >= distance else 0
    sums[0] = top


@kernel
def find_bins(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray,
    start: int,
    stride: int,
    rows: int,
    mask: int,
    bins: np.ndarray,
) -> None:
    """Set `bins` to those of the largest magnitudes of columns."""
    bins[:] = 0
    for i in range(rows):
        p = start + i * stride
        row = a[p : p + len(bins)]
        for k in range(len(bins)):
            bins[k] = max(bins[k], as_int64(row[k]) & mask & MAGNITUDE)
    for k in range(len(bins)):
        # The product divides by 40.
        bins[k] = max(np.int64(0), (((bins[k] >> 52) - 28) * 1639) >> 16)
