"""Decimal text as float64, the nearest one, as Python's ``float`` has it; one process.

Most numbers are exact in one operation (W. D. Clinger, How to read floating point
numbers accurately, PLDI 1990); the others need a product of 64 by 128 bits (D. Lemire,
Number parsing at a gigabyte per second, Software: Practice and Experience 51, 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba import uint64

from mpiapps.kernels.jit import inline, kernel

EXACT = 2**53  # integers up to here, and powers of ten up to 22, are exact
POWERS = 10.0 ** np.arange(23)
DIGITS = 19  # of any integer of 64 bits
NONE = -(2**62)  # in place of a power
FAR = 10**12  # no power is larger, nor are there as many digits
LOWEST, HIGHEST = -342, 308  # powers of ten: beyond, 19 digits are 0 or infinite
MANTISSA, BIAS, INFINITE = 52, 1023, 2047  # bits, and exponents, of float64
LOW = uint64(2**32 - 1)
HALF = uint64(32)
# Sure digits of a product: where the last ones are all set, a carry could reach them.
UNSURE = uint64(2**9 - 1)


def _fives() -> Iterator[tuple[int, int]]:
    """Yield the first 128 bits of each power of five, as D. Lemire's proof has them."""
    for power in range(LOWEST, HIGHEST + 1):
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
    """Return the high and the low half of a product of two uint64."""
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
def nearest(value: Any, power: int) -> float:
    """Return the float64 nearest to ``value * 10**power``; NaN if that needs more.

    Parameters
    ----------
    value : uint64
    power : int
    """
    if value == 0 or power < LOWEST or power > HIGHEST:
        return np.inf if value != 0 and power > 0 else 0.0
    if value <= EXACT and -23 < power < 23:
        exact = float(value)
        small: float = exact * POWERS[power] if power >= 0 else exact / POWERS[-power]
        return small
    shift = _zeros(uint64(value))
    digits = uint64(value) << uint64(shift)
    high, low = _product(digits, FIVES[power - LOWEST, 0])
    if high & UNSURE == UNSURE:
        carry, _ = _product(digits, FIVES[power - LOWEST, 1])
        low += carry
        high += uint64(low < carry)
        if low == uint64(2**64 - 1) and not -28 < power < 56:
            return np.nan
    upper = int(high >> uint64(63))
    cut = upper + 64 - MANTISSA - 3
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
    ):  # halfway between two: the even one
        mantissa &= ~uint64(1)
    mantissa = (mantissa + (mantissa & uint64(1))) >> uint64(1)
    if exponent >= INFINITE:
        return np.inf
    found: float = np.ldexp(float(mantissa), exponent - BIAS - MANTISSA)
    return found


@inline
def _is_digit(c: Any) -> Any:
    return 48 <= c <= 57


@kernel
def _exponent(block: np.ndarray, i: int, stop: int) -> int:
    """Return the power behind an e; `NONE` if that is not what there is."""
    if block[i] != 69 and block[i] != 101:
        return NONE
    i += 1
    down = i < stop and block[i] == 45
    if i < stop and (block[i] == 43 or block[i] == 45):
        i += 1
    if i == stop:
        return NONE
    power = 0
    while i < stop:
        if not _is_digit(block[i]):
            return NONE
        power = min(FAR, power * 10 + (int(block[i]) - 48))
        i += 1
    return -power if down else power


@kernel
def number(block: np.ndarray, i: int, stop: int) -> tuple[float, bool]:
    """Return the number that all of ``block[i:stop]`` is, else NaN.

    Returns
    -------
    float
        NaN, too, for what is infinite.
    bool
        Whether it has so many digits that ``float`` must decide; the number is NaN.
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
            if digits < DIGITS:
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
    if not seen or shift == NONE:
        return np.nan, False
    found = nearest(value, power + shift)
    if more and nearest(value + uint64(1), power + shift) != found:
        found = np.nan  # what the other digits are decides
    if np.isinf(found):
        return np.nan, False
    return -found if negative else found, bool(np.isnan(found))


KERNELS: list[Callable[..., Any]] = [number]
