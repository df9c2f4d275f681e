"""Sums of the states of `mpiapps.kernels.sum_states`, and their rounding."""

from __future__ import annotations

import numpy as np

from mpiapps.kernels.bits import as_float64, as_int64
from mpiapps.kernels.jit import kernel
from mpiapps.kernels.sum_states import (
    BIN,
    DIGIT_BITS,
    DIGITS,
    HALF,
    HALF_BITS,
    LIMIT,
    MAGIC,
    MAGNITUDE,
    SCALE,
    SCALED,
    SPECIAL,
    UNITS,
)


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
    for j in range(len(result)):
        top = state[0, j]
        if top < SPECIAL:
            low = state[1, j], state[2, j], state[3, j]
            result[j] = _round_sum(top, low, (state[4, j], state[5, j], state[6, j]))


@kernel
def round_means(
    state: np.ndarray, count: int, result: np.ndarray, left: np.ndarray
) -> None:
    """Set the result to the means of `count` numbers, and of the deviations from them.

    Parameters
    ----------
    state : ndarray of int64, (7, n)
    count : int
        1 to 2**43.
    result : ndarray of float64, (2, n)
    left : ndarray of bool, (n,)
        Set where the result is not: for sums that are not finite, in the bin `SCALED`,
        or whose mean is above their bin.
    """
    for j in range(len(left)):
        top = max(state[0, j], np.int64(0))
        low = state[1, j], state[2, j], state[3, j]
        high = state[4, j], state[5, j], state[6, j]
        left[j] = top >= SCALED
        if left[j]:
            continue
        mean = _round_sum(top, low, high) / count
        left[j] = (as_int64(mean) & MAGNITUDE) > LIMIT + top * BIN
        if left[j]:
            continue
        low0, high0, x = _subtract_digit(
            MAGIC[0] + top * BIN, mean, count, low[0], high[0]
        )
        low1, high1, x = _subtract_digit(
            MAGIC[1] + top * BIN, x, count, low[1], high[1]
        )
        low2, high2, x = _subtract_digit(
            MAGIC[2] + top * BIN, x, count, low[2], high[2]
        )
        rest = _round_sum(top, (low0, low1, low2), (high0, high1, high2))
        result[0, j], result[1, j] = mean, rest / count


@kernel
def _subtract_digit(
    magic: int, x: float, count: int, low: int, high: int
) -> tuple[int, int, float]:
    """Subtract a number's digit `count` times; return the sum and the number's rest."""
    m = as_float64(magic)
    y = x + m
    digit = as_int64(y) - magic
    many = digit * (count >> HALF_BITS)
    low -= digit * (count & HALF) + ((many & HALF) << HALF_BITS)
    high += (low >> DIGIT_BITS) - (many >> HALF_BITS)
    return low & ((1 << DIGIT_BITS) - 1), high, x - (y - m)


@kernel
def _round_sum(
    top: np.int64, low: tuple[int, int, int], high: tuple[int, int, int]
) -> float:
    """Return a sum from its digits modulo 2**40, and these over 2**40."""
    half, scale = 1 << (DIGIT_BITS - 1), 1.0
    if top == SCALED:
        top -= 2
        scale = 1 / SCALE
    top = max(np.int64(0), top)
    # Carries to the next digit, so that the lower ones are within half a unit.
    carry = (low[2] + half) >> DIGIT_BITS
    digit2 = low[2] - (carry << DIGIT_BITS)
    digit1 = low[1] + high[2] + carry
    carry = (digit1 + half) >> DIGIT_BITS
    digit1 -= carry << DIGIT_BITS
    digit0 = low[0] + high[1] + carry
    over = high[0] + (digit0 >> DIGIT_BITS)
    digit0 &= 2**DIGIT_BITS - 1
    if -(2**12) <= over < 2**12:  # exact in float64, also when they cancel
        digit0 += over << DIGIT_BITS
        over = 0
    rest = digit1 * UNITS[top + 1] + digit2 * UNITS[top]
    total: float = over * 2.0**DIGIT_BITS * scale * UNITS[top + 2]
    total += (digit0 * UNITS[top + 2] + rest) * scale
    return total
