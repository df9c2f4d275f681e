"""Sums of the states of `mpiapps.kernels.sum_states`, and their rounding."""

from __future__ import annotations

import numpy as np

from mpiapps.kernels.jit import kernel
from mpiapps.kernels.sum_states import (
    DIGIT_BITS,
    DIGITS,
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
