"""Conversion of decimal text to the nearest float64, as by ``float``; one process.

Most numbers need one exact operation (W. D. Clinger, How to read floating point
numbers accurately, PLDI 1990); the others need a product of 64 by 128 bits (D. Lemire,
Number parsing at a gigabyte per second, Software: Practice and Experience 51, 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba import uint64

from mpiapps.kernels.jit import inline, kernel

MAX_EXACT = 2**53  # integers up to this, and powers of ten up to 22, are exact
POWERS = 10.0 ** np.arange(23)
MAX_DIGITS = 19  # that fit any 64-bit integer
INVALID = -(2**62)  # in place of an exponent
MAX_EXPONENT = 10**12  # clips larger exponents; no text has as many digits
MIN_POWER, MAX_POWER = -342, 308  # of ten; beyond, 19 digits are 0 or infinite
MANTISSA_BITS, BIAS, INF_EXPONENT = 52, 1023, 2047  # of float64
LOW = uint64(2**32 - 1)
HALF = uint64(32)
# Low bits of a product: if all are set, a carry could change the bits above them.
CARRY_MASK = uint64(2**9 - 1)


def _fives() -> Iterator[tuple[int, int]]:
    """Yield the first 128 bits of each power of five, rounded as by D. Lemire."""
    for power in range(MIN_POWER, MAX_POWER + 1):
        if power < 0:
            five = 5**-power
            bits = (five - 1).bit_length()
            bits = bits + 127 if power >= -27 else 2 * bits + 128
            value = 2**bits // five + 1
        else:
            value = 5**power << 128
        value >>= value.bit_length() - 128
        yield value >> 64, value & (2**64 - 1)


FIVES = np.array(list(_fives()), np.uint64)


@inline
def _product(a: Any, b: Any) -> Any:
    """Return the high and the low half of the product of two uint64."""
    a0, a1, b0, b1 = a & LOW, a >> HALF, b & LOW, b >> HALF
    low, one, other = a0 * b0, a1 * b0, a0 * b1
    middle = (low >> HALF) + (one & LOW) + (other & LOW)
    high = a1 * b1 + (one >> HALF) + (other >> HALF) + (middle >> HALF)
    return high, a * b


@inline
def _zeros(value: Any) -> Any:
    """Return the number of leading zero bits of a uint64 that is not 0."""
    zeros = 0
    for step in (32, 16, 8, 4, 2, 1):
        if value >> uint64(64 - step) == 0:
            value <<= uint64(step)
            zeros += step
    return zeros


@kernel
def nearest_float64(value: Any, power: int) -> float:
    """Return the float64 nearest to ``value * 10**power``; NaN if undecided.

    Parameters
    ----------
    value : uint64
    power : int
    """
    if value == 0 or power < MIN_POWER or power > MAX_POWER:
        return np.inf if value != 0 and power > 0 else 0.0
    if value <= MAX_EXACT and -23 < power < 23:
        exact = float(value)
        result: float = exact * POWERS[power] if power >= 0 else exact / POWERS[-power]
        return result
    shift = _zeros(uint64(value))
    digits = uint64(value) << uint64(shift)
    high, low = _product(digits, FIVES[power - MIN_POWER, 0])
    if high & CARRY_MASK == CARRY_MASK:
        carry, _ = _product(digits, FIVES[power - MIN_POWER, 1])
        low += carry
        high += uint64(low < carry)
        if low == uint64(2**64 - 1) and not -28 < power < 56:
            return np.nan
    upper = int(high >> uint64(63))
    cut = upper + 64 - MANTISSA_BITS - 3
    mantissa = high >> uint64(cut)
    exponent = ((217706 * power) >> 16) + 63 + upper - shift + BIAS
    if exponent <= 0:  # subnormal
        mantissa = mantissa >> uint64(1 - exponent) if exponent > -63 else uint64(0)
        exponent = 1
    elif (
        low <= 1
        and -5 < power < 24
        and mantissa & uint64(3) == 1
        and mantissa << uint64(cut) == high
    ):  # halfway between two: round to even
        mantissa &= ~uint64(1)
    mantissa = (mantissa + (mantissa & uint64(1))) >> uint64(1)
    if exponent >= INF_EXPONENT:
        return np.inf
    nearest: float = np.ldexp(float(mantissa), exponent - BIAS - MANTISSA_BITS)
    return nearest


@inline
def _is_digit(c: Any) -> Any:
    return 48 <= c <= 57


@kernel
def _exponent(block: np.ndarray, i: int, stop: int) -> int:
    """Return the exponent after an e; `INVALID` if the text is not one."""
    if block[i] != 69 and block[i] != 101:
        return INVALID
    i += 1
    down = i < stop and block[i] == 45
    if i < stop and (block[i] == 43 or block[i] == 45):
        i += 1
    if i == stop:
        return INVALID
    power = 0
    while i < stop:
        if not _is_digit(block[i]):
            return INVALID
        power = min(MAX_EXPONENT, power * 10 + (int(block[i]) - 48))
        i += 1
    return -power if down else power


@kernel
def parse_number(block: np.ndarray, i: int, stop: int) -> tuple[float, bool]:
    """Return the number in ``block[i:stop]``, else NaN.

    Returns
    -------
    float
        NaN also if it is infinite.
    bool
        Whether it has so many digits that ``float`` must parse it; the number is NaN.
    """
    negative = i < stop and block[i] == 45
    if i < stop and (block[i] == 43 or block[i] == 45):
        i += 1
    value, power, digits = uint64(0), 0, 0
    point, seen, more = False, False, False
    while i < stop:
        c = block[i]
        if _is_digit(c):
            seen = True
            if digits < MAX_DIGITS:
                value = value * uint64(10) + uint64(c - 48)
                digits += value != 0
                power -= point
            else:
                more |= c != 48
                power += not point
        elif c == 46 and not point:
            point = True
        else:
            break
        i += 1
    shift = _exponent(block, i, stop) if i < stop else 0
    if not seen or shift == INVALID:
        return np.nan, False
    result = nearest_float64(value, power + shift)
    if more and nearest_float64(value + uint64(1), power + shift) != result:
        result = np.nan  # the remaining digits decide
    if np.isinf(result):
        return np.nan, False
    return -result if negative else result, bool(np.isnan(result))


KERNELS: list[Callable[..., Any]] = [parse_number]
