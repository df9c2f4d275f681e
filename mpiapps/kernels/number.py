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

from mpiapps.kernels.bits import (
    as_float64,
    high_product,
    leading_zeros,
    read_byte,
    read_word,
)
from mpiapps.kernels.jit import inline, kernel

MAX_EXACT = 2**53  # integers up to this, and powers of ten up to 22, are exact
POWERS = 10.0 ** np.arange(23)
MAX_DIGITS = 19  # that fit any 64-bit integer
WORD_DIGITS = 8  # that are converted at once
ZEROS = uint64(0x3030303030303030)  # "00000000"
NIBBLES = uint64(0xF0F0F0F0F0F0F0F0)
SIXES = uint64(0x0606060606060606)
POINT = 46
INVALID = -(2**62)  # in place of an exponent
MAX_EXPONENT = 10**12  # clips larger exponents; no text has as many digits
MIN_POWER, MAX_POWER = -342, 308  # of ten; beyond, 19 digits are 0 or infinite
MANTISSA_BITS, BIAS = 52, 1023  # of float64
INF_BITS = uint64(2047 << MANTISSA_BITS)
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
    shift = leading_zeros(uint64(value))
    digits = uint64(value) << uint64(shift)
    five = FIVES[power - MIN_POWER, 0]
    high, low = high_product(digits, five), digits * five
    if high & CARRY_MASK == CARRY_MASK:
        carry = high_product(digits, FIVES[power - MIN_POWER, 1])
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
    # The leading one of the mantissa adds 1 to the exponent, as does its overflow.
    bits = (uint64(exponent - 1) << uint64(MANTISSA_BITS)) + mantissa
    nearest: float = as_float64(min(bits, INF_BITS))
    return nearest


@inline
def _is_digit(c: Any) -> Any:
    return 48 <= c <= 57


@kernel
def _exponent(text: Any, i: int, stop: int) -> int:
    """Return the exponent after an e; `INVALID` if the text is not one."""
    if read_byte(text, i) != 69 and read_byte(text, i) != 101:
        return INVALID
    i += 1
    down = i < stop and read_byte(text, i) == 45
    if i < stop and (read_byte(text, i) == 43 or read_byte(text, i) == 45):
        i += 1
    if i == stop:
        return INVALID
    power = 0
    while i < stop:
        if not _is_digit(read_byte(text, i)):
            return INVALID
        power = min(MAX_EXPONENT, power * 10 + (int(read_byte(text, i)) - 48))
        i += 1
    return -power if down else power


@inline
def _are_digits(word: Any) -> Any:
    """Return whether the eight bytes of a uint64 are digits."""
    return (word & NIBBLES) == ZEROS and ((word + SIXES) & NIBBLES) == ZEROS


@inline
def _eight_digits(word: Any) -> Any:
    """Return the number that eight digits are: pairs, then fours, then all of them."""
    word -= ZEROS
    word = word * uint64(10) + (word >> uint64(8))
    mask = uint64(0x000000FF000000FF)
    fours = (word & mask) * uint64(0x000F424000000064)
    twos = ((word >> uint64(16)) & mask) * uint64(0x0000271000000001)
    return (fours + twos) >> uint64(32)


@kernel
def _digits(text: Any, i: int, stop: int, value: Any) -> tuple[Any, int]:
    """Append digits to a uint64, modulo 2**64; return it, and the index after them."""
    while i + WORD_DIGITS <= stop:
        word = read_word(text, i)
        if not _are_digits(word):
            break
        value = value * uint64(10**WORD_DIGITS) + _eight_digits(word)
        i += WORD_DIGITS
    while i < stop and _is_digit(read_byte(text, i)):
        value = value * uint64(10) + uint64(read_byte(text, i) - 48)
        i += 1
    return value, i


@kernel
def _first_digits(text: Any, i: int, stop: int) -> tuple[Any, int, bool]:
    """Return a number of many digits: `MAX_DIGITS` of them, and the power of ten.

    The third result is whether a remaining digit is not 0. ``text[i:stop]`` consists
    of digits and at most one point.
    """
    value, power, digits, point, more = uint64(0), 0, 0, False, False
    for j in range(i, stop):
        c = read_byte(text, j)
        if c == POINT:
            point = True
        elif digits < MAX_DIGITS:
            value = value * uint64(10) + uint64(c - 48)
            digits += value != 0
            power -= point
        else:
            more |= c != 48
            power += not point
    return value, power, more


@kernel
def parse_number(text: Any, i: int, stop: int) -> tuple[float, bool]:
    """Return the number in ``text[i:stop]``, else NaN.

    Returns
    -------
    float
        NaN also if it is infinite.
    bool
        Whether it has so many digits that ``float`` must parse it; the number is NaN.
    """
    negative = i < stop and read_byte(text, i) == 45
    if i < stop and (read_byte(text, i) == 43 or read_byte(text, i) == 45):
        i += 1
    value, end = _digits(text, i, stop, uint64(0))
    digits, power, more = end - i, 0, False
    if end < stop and read_byte(text, end) == POINT:
        point = end + 1
        value, end = _digits(text, point, stop, value)
        power = point - end
        digits -= power
    shift = _exponent(text, end, stop) if end < stop else 0
    if digits == 0 or shift == INVALID:
        return np.nan, False
    if digits > MAX_DIGITS:
        value, power, more = _first_digits(text, i, end)
    result = nearest_float64(value, power + shift)
    if more and nearest_float64(value + uint64(1), power + shift) != result:
        result = np.nan  # the remaining digits decide
    if np.isinf(result):
        return np.nan, False
    return -result if negative else result, bool(np.isnan(result))


KERNELS: list[Callable[..., Any]] = [parse_number]
