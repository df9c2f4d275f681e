"""Sums of float64 numbers that do not depend on their order; one process.

Numbers are rounded to multiples of a unit, at most 2**-79 of the largest one, and the
multiples are added as integers: the sum has the same bits in any order and for any
partition of the numbers. Units are 40 bits apart (`UNITS`), so each number is split
into three integers of 40 bits, its digits; the sums of lower digits are dropped when a
larger number arrives, as if they had never been computed. The bits of ``x + 1.5 * 2**52
* unit`` contain ``x / unit``, rounded to an integer, which LLVM adds in vectors.

Sources: Demmel, Nguyen, "Parallel reproducible summation", IEEE Trans. Comput. 64
(2015); Ahrens, Demmel, Nguyen, "Algorithms for efficient reproducible floating point
summation", ACM TOMS 46 (2020). They add digits as floating-point numbers.

A state is int64, (7, n), for n sums: the bin of the largest number, -1 if there is
none, or `SPECIAL` plus flags if there are infinities or NaN; the sums of the three
digits modulo 2**40; and these sums over 2**40.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mpiapps.kernels.bits import as_float64, as_int64
from mpiapps.kernels.jit import kernel

MAGNITUDE = np.int64(2**63 - 1)  # mask of the bits without the sign
INFINITY = np.int64(0x7FF << 52)
DIGIT_BITS, DIGITS = 40, 3
LOWEST_BITS = -1074  # the unit of the lowest digit: the smallest positive number
TOP_BIN = 50  # of the largest finite numbers
SCALED = np.int64(TOP_BIN)  # its magic numbers would overflow
SCALE = 2.0 ** (-2 * DIGIT_BITS)  # brings numbers of this bin into the second next
SPECIAL = 64
PLUS, MINUS, NAN = 1, 2, 4  # flags
STATE_ROWS = 1 + 2 * DIGITS
MAX_NUMBERS = 2**22  # per sum and call, so that no sum of digits overflows

# UNITS[b + 2 - k] is the unit of digit k of bin b.
UNITS = 2.0 ** (LOWEST_BITS + DIGIT_BITS * np.arange(TOP_BIN + 3.0))
# Numbers of bin b are below 2**39 units: their bits are at most LIMIT + b * BIN.
LIMIT = (UNITS[2:3] * 2.0 ** (DIGIT_BITS - 1)).view(np.int64)[0] - 1
# Bits of 1.5 * 2**52 * UNITS[b + 2 - k] are MAGIC[k] + b * BIN.
BIN = np.int64(DIGIT_BITS << 52)
MAGIC = (1.5 * 2.0**52 * UNITS[DIGITS - 1 :: -1]).view(np.int64)


@kernel
def term(x: Any, mask: Any, square: Any) -> Any:
    """Return x, |x| or x**2."""
    y = as_float64(as_int64(x) & mask)
    return y * (y if square else 1.0)


@kernel
def bin_of(magnitude: Any) -> Any:
    """Return the bin of a finite number, from its bits without the sign."""
    # The product divides by 40.
    return max(0, (((magnitude >> 52) - 28) * 1639) >> 16)


@kernel
def limit_of(top: Any) -> Any:
    """Return the bits of the largest number of a bin."""
    return INFINITY - 1 if top >= SCALED else LIMIT + top * BIN


@kernel
def shift(state: np.ndarray, j: int, top: int) -> None:
    """Raise the bin of sum j: drop the lowest digits."""
    distance = top - state[0, j]
    state[0, j] = top
    for k in range(DIGITS, 0, -1):
        for row in (k, k + DIGITS):
            state[row, j] = state[row - distance, j] if k > distance else 0


@kernel
def flag_of(x: float) -> int:
    """Return the flag of a number, 0 if it is finite."""
    if np.isfinite(x):
        return 0
    return NAN if np.isnan(x) else PLUS if x > 0 else MINUS


@kernel
def carry(state: np.ndarray) -> None:
    """Move multiples of 2**40 from the sums of digits to the last rows."""
    for k in range(1, 1 + DIGITS):
        for j in range(state.shape[1]):
            state[k + DIGITS, j] += state[k, j] >> DIGIT_BITS
            state[k, j] &= 2**DIGIT_BITS - 1


@kernel
def merge(states: np.ndarray, state: np.ndarray) -> None:
    """Add states, (k, 7, r n), to one, (7, n); sum j of them to sum j modulo n."""
    n = state.shape[1]
    for i in range(len(states)):
        for j in range(states.shape[2]):
            to, top, own = j % n, states[i, 0, j], state[0, j % n]
            if top >= SPECIAL or own >= SPECIAL:
                flags = (top if top >= SPECIAL else 0) | (own if own >= SPECIAL else 0)
                state[0, to] = flags
                continue
            if top > own:
                shift(state, to, top)
            distance = state[0, to] - top
            for k in range(1, 1 + DIGITS - distance):
                state[k + distance, to] += states[i, k, j]
                state[k + distance + DIGITS, to] += states[i, k + DIGITS, j]
    carry(state)


@kernel
def values(state: np.ndarray) -> np.ndarray:
    """Return the sums as float64, within one unit in the last place."""
    half = 1 << (DIGIT_BITS - 1)
    result = np.empty(state.shape[1])
    for j in range(len(result)):
        top = state[0, j]
        if top >= SPECIAL:
            flags = top - SPECIAL
            result[j] = (
                np.inf if flags == PLUS else -np.inf if flags == MINUS else np.nan
            )
            continue
        scale = 1.0
        if top == SCALED:
            top -= 2
            scale = 1 / SCALE
        top = max(0, top)
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
    return result


def new_state(n: int) -> np.ndarray:
    """Return the state of n sums of no numbers."""
    state = np.zeros((STATE_ROWS, n), np.int64)
    state[0] = -1
    return state
