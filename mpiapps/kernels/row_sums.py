"""Digits of `mpiapps.kernels.sum_states`, summed by rows in vectors; one process."""

from __future__ import annotations

import numpy as np

from mpiapps.kernels.bits import as_float64, as_int64, prefetch
from mpiapps.kernels.digit_sums import FIRST, add_digit
from mpiapps.kernels.jit import kernel
from mpiapps.kernels.sum_states import BIN, LIMIT, MAGIC, MAGNITUDE, SCALED

# Numbers of a row between requests of cache lines, and how far ahead they are. Without
# them a core reads a long row from memory at two thirds of the speed.
STRETCH, AHEAD = 128, 256

# Sums of the three digits, and a number < 0 if a number is above the limit.
DigitSums = tuple[np.int64, np.int64, np.int64, np.int64]
Magic = tuple[float, float, float]  # numbers, of the digits


@kernel
def _every_second(a: np.ndarray, start: int, numbers: np.ndarray) -> np.ndarray:
    """Copy every second number from `start` on; return `numbers`."""
    for j in range(len(numbers)):
        numbers[j] = a[start + 2 * j]
    return numbers


@kernel
def _add_row(
    row: np.ndarray, mask: int, square: bool, limit: int, magic: Magic
) -> DigitSums:
    """Return the sums of the digits of numbers, or of squares.

    One inner loop for both takes 1.4 times as long.
    """
    s0 = s1 = s2 = above = np.int64(0)
    for begin in range(0, len(row), STRETCH):
        for k in range(0, STRETCH, 8):
            prefetch(row, begin + AHEAD + k)
        part = row[begin : begin + STRETCH]
        if square:
            for j in range(len(part)):
                x = np.float64(part[j]) * np.float64(part[j])
                above |= limit - (as_int64(x) & MAGNITUDE)  # NaN may have a sign
                d0, d1, d2 = _digits(x, magic)
                s0, s1, s2 = s0 + d0, s1 + d1, s2 + d2
        else:
            for j in range(len(part)):
                bits = as_int64(part[j]) & mask
                above |= limit - (bits & MAGNITUDE)
                d0, d1, d2 = _digits(as_float64(bits), magic)
                s0, s1, s2 = s0 + d0, s1 + d1, s2 + d2
    return s0, s1, s2, above


@kernel
def _digits(x: float, magic: Magic) -> tuple[int, int, int]:
    """Return the bits that contain the digits of a number."""
    m0, m1, m2 = magic
    y0 = x + m0
    x -= y0 - m0
    y1 = x + m1
    x -= y1 - m1
    return as_int64(y0), as_int64(y1), as_int64(x + m2)


@kernel
def _row_bin(row: np.ndarray, mask: int, square: bool) -> np.int64:
    """Return the bin of the largest number of a row, or of the largest square."""
    largest = np.int64(0)
    for j in range(len(row)):
        x = as_float64(as_int64(row[j]) & mask)
        largest = max(largest, as_int64(x * x if square else x) & MAGNITUDE)
    # The product divides by 40.
    return max(np.int64(0), (((largest >> 52) - 28) * 1639) >> 16)


@kernel
def fold_rows(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray,
    start: int,
    stride: int,
    step: int,
    n: int,
    mask: int,
    square: bool,
    state: np.ndarray,
    left: np.ndarray,
) -> int:
    """Add rows of n numbers, or their squares, to sums; return how many are left.

    Left, and marked in `left`, are rows with numbers in the bin `SCALED`, infinities,
    NaN, or above the bin of earlier numbers. The numbers of a row are adjacent, or
    `step` is 2, for a component of complex numbers.
    """
    count = len(left)
    component = np.empty(n if step == 2 else 0, a.dtype)
    for i in range(state.shape[1]):
        p = start + i * stride
        row = a[p : p + n] if step == 1 else _every_second(a, p, component)
        own = state[0, i]
        top, seen = own, FIRST if own < 0 else 0
        left[i] = True
        while left[i]:
            if seen:
                top = _row_bin(row[:seen], mask, square)
            if top >= SCALED:
                break
            limit = LIMIT + top * BIN
            magic0, magic1 = MAGIC[0] + top * BIN, MAGIC[1] + top * BIN
            magic2 = MAGIC[2] + top * BIN
            magic = as_float64(magic0), as_float64(magic1), as_float64(magic2)
            s0, s1, s2, above = _add_row(row, mask, square, limit, magic)
            if above < 0:
                if own >= 0 or seen >= n:
                    break
                seen = n
                continue
            left[i] = False
            state[0, i] = top
            add_digit(state, 0, i, s0 - n * magic0)
            add_digit(state, 1, i, s1 - n * magic1)
            add_digit(state, 2, i, s2 - n * magic2)
            count -= 1
    return count
