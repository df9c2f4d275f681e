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
import numpy.typing as npt

Array = npt.NDArray[Any]

MAGNITUDE = np.int64(2**63 - 1)  # mask of the bits without the sign
INFINITY = np.int64(0x7FF << 52)
DIGIT_BITS, DIGITS = 40, 3
HALF_BITS = DIGIT_BITS // 2
HALF = 2**HALF_BITS - 1
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


def bins_of(magnitudes: Array) -> Array:
    """Return the bins of finite numbers, from their bits without the sign."""
    bins: Array = np.maximum(((magnitudes >> 52) - 28) // DIGIT_BITS, 0)
    return bins


def raise_bins(state: Array, x: Array, axis: int) -> None:
    """Raise the bins of sums to those of numbers, and set their flags."""
    largest = np.abs(x).max(axis=axis)  # NaN if there is one
    special = ~np.isfinite(largest)
    own = state[0]
    tops = np.where(special, own, np.maximum(own, bins_of(largest.view(np.int64))))
    if (tops > own).any():
        if own.max() >= 0:  # otherwise all digits are zero
            _shift(state[1:], tops - own)
        state[0] = tops
    if special.any():
        x = np.compress(special, x, axis=1 - axis)
        flags = (x == np.inf) * PLUS | (x == -np.inf) * MINUS | np.isnan(x) * NAN
        flags = np.bitwise_or.reduce(flags, axis=axis)
        state[0, special] = np.maximum(own[special], SPECIAL) | flags


def _shift(digits: Array, distance: Array) -> None:
    """Drop the lowest digits, (6, n), by distances, (n,)."""
    digit = np.arange(DIGITS)[:, None] - distance
    for some in (digits[:DIGITS], digits[DIGITS:]):
        shifted = np.take_along_axis(some, np.maximum(digit, 0), axis=0)
        some[...] = np.where(digit >= 0, shifted, 0)


def carry(state: Array) -> None:
    """Move multiples of 2**40 from the sums of digits to the last rows."""
    state[1 + DIGITS :] += state[1 : 1 + DIGITS] >> DIGIT_BITS
    state[1 : 1 + DIGITS] &= 2**DIGIT_BITS - 1


def add_digits(state: Array, x: Array, axis: int, count: int = 1) -> None:
    """Add any numbers, in their bins, `count` times to sums; slower than the kernels.

    Up to `MAX_NUMBERS` numbers once, or one number up to 2**43 times.
    """
    raise_bins(state, x, axis)
    is_scaled = state[0] == SCALED
    top = np.where(state[0] > SCALED, 0, state[0]) - 2 * is_scaled
    factors = np.where(is_scaled, SCALE, 1.0)
    with np.errstate(all="ignore"):
        x = x * np.expand_dims(factors, axis)
        for k in range(DIGITS):
            magic = (MAGIC[k] + top * BIN).view(np.float64)
            y = x + np.expand_dims(magic, axis)
            digits = y.view(np.int64) - np.expand_dims(magic.view(np.int64), axis)
            sums = digits.sum(axis=axis)
            many = sums * (count >> HALF_BITS)
            state[1 + k] += sums * (count & HALF) + ((many & HALF) << HALF_BITS)
            state[1 + DIGITS + k] += many >> HALF_BITS
            x -= y - np.expand_dims(magic, axis)


def new_state(n: int) -> Array:
    """Return the state of n sums of no numbers."""
    state = np.zeros((STATE_ROWS, n), np.int64)
    state[0] = -1
    return state
