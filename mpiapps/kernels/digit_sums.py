"""Sums of the digits of `mpiapps.kernels.sum_states` in vectors; one process."""

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
    SCALE,
    SCALED,
    SPECIAL,
    UNITS,
)

LANES = 256  # columns at a time, whose sums stay in the L1 cache
PLANE = 264  # from one array of lanes to the next; not a power of two
ROWS = 4  # at a time
FIRST = 8  # numbers of a row that determine its first bin
ONE = np.float64(1).view(np.int64)


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
    overlap.
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
def fold_rows(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray,
    start: int,
    stride: int,
    n: int,
    mask: int,
    square: int,
    state: np.ndarray,
    left: np.ndarray,
) -> int:
    """Add rows of n numbers to sums; return how many are left, marked in `left`.

    Left are rows with numbers in the bin `SCALED`, infinities, NaN, or above the bin of
    earlier numbers. `square` is -1 to add squares, otherwise 0.
    """
    one, count = ONE & ~square, len(left)
    for i in range(state.shape[1]):
        row = a[start + i * stride : start + i * stride + n]
        own = state[0, i]
        top, seen = own, FIRST if own < 0 else 0
        left[i] = True
        while left[i]:
            if seen:
                largest = np.int64(0)
                for j in range(min(n, seen)):
                    bits = as_int64(row[j]) & mask
                    x = as_float64(bits) * as_float64((bits & square) | one)
                    largest = max(largest, as_int64(x) & MAGNITUDE)
                # The product divides by 40.
                top = max(np.int64(0), (((largest >> 52) - 28) * 1639) >> 16)
            if top >= SCALED:
                break
            limit = LIMIT + top * BIN
            magic0, magic1 = MAGIC[0] + top * BIN, MAGIC[1] + top * BIN
            magic2 = MAGIC[2] + top * BIN
            m0, m1, m2 = as_float64(magic0), as_float64(magic1), as_float64(magic2)
            s0 = s1 = s2 = above = np.int64(0)
            for j in range(n):
                bits = as_int64(row[j]) & mask
                x = as_float64(bits) * as_float64((bits & square) | one)
                above |= limit - (as_int64(x) & MAGNITUDE)
                y = x + m0
                s0 += as_int64(y)
                x -= y - m0
                y = x + m1
                s1 += as_int64(y)
                x -= y - m1
                s2 += as_int64(x + m2)
            if above < 0:
                if own >= 0 or seen >= n:
                    break
                seen = n
                continue
            left[i] = False
            state[0, i] = top
            state[1, i] += s0 - n * magic0
            state[2, i] += s1 - n * magic1
            state[3, i] += s2 - n * magic2
            count -= 1
    return count


@kernel
def merge(states: np.ndarray, state: np.ndarray) -> None:
    """Add states to one.

    Parameters
    ----------
    states : ndarray of int64, (k, r n, 7), C-contiguous
        Sum j of each is added to sum j modulo n.
    state : ndarray of int64, (7, n)
        Changed.
    """
    n = state.shape[1]
    for j in range(n):
        top = state[0, j]
        for i in range(states.shape[0]):
            for c in range(j, states.shape[1], n):
                top = max(top, states[i, c, 0])
        own = state[0, j]
        flags = own if own >= SPECIAL else np.int64(0)
        for digit in range(DIGITS - 1, -1, -1):  # moved down, the last one first
            lower = digit - (top - own)
            for row in (1 + digit, 1 + DIGITS + digit):
                moved = row - (top - own)
                state[row, j] = state[moved, j] if lower >= 0 else 0
        for i in range(states.shape[0]):
            for c in range(j, states.shape[1], n):
                other = states[i, c, 0]
                flags |= other if other >= SPECIAL else np.int64(0)
                for digit in range(top - other, DIGITS):
                    for row in (1, 1 + DIGITS):
                        part = states[i, c, row + digit - (top - other)]
                        state[row + digit, j] += part
        state[0, j] = flags if top >= SPECIAL else top
        for row in range(1, 1 + DIGITS):
            state[row + DIGITS, j] += state[row, j] >> DIGIT_BITS
            state[row, j] &= (1 << DIGIT_BITS) - 1


@kernel
def round_sums(state: np.ndarray, result: np.ndarray) -> None:
    """Set the result to the sums, within one unit in the last place, if finite."""
    half = 1 << (DIGIT_BITS - 1)
    for j in range(len(result)):
        top, scale = state[0, j], 1.0
        if top >= SPECIAL:
            continue
        if top == SCALED:
            top -= 2
            scale = 1 / SCALE
        top = max(np.int64(0), top)
        # Carries to the next digit, so that the lower ones are within half a unit.
        digit2 = state[3, j]
        carry = (digit2 + half) >> DIGIT_BITS
        digit2 -= carry << DIGIT_BITS
        digit1 = state[2, j] + state[6, j] + carry
        carry = (digit1 + half) >> DIGIT_BITS
        digit1 -= carry << DIGIT_BITS
        digit0 = state[1, j] + state[5, j] + carry
        high = state[4, j] + (digit0 >> DIGIT_BITS)
        digit0 &= 2**DIGIT_BITS - 1
        if -(2**12) <= high < 2**12:  # exact in float64, also when they cancel
            digit0 += high << DIGIT_BITS
            high = 0
        low = digit1 * UNITS[top + 1] + digit2 * UNITS[top]
        total = high * 2.0**DIGIT_BITS * scale * UNITS[top + 2]
        result[j] = total + (digit0 * UNITS[top + 2] + low) * scale
