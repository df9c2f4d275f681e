"""Count, extent, exact sum and histogram of numbers; one process.

The sum is an integer multiple of the smallest positive float64, stored in 64-bit cells
of 32 bits each plus carries, so its bits do not depend on the order of the numbers (the
long accumulator of U. Kulisch).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from mpiapps.kernels.jit import kernel

CELL_BITS = 32  # of 64; the upper ones hold carries
CELLS = 68  # 1074 bits below 1, 1024 above, and some for the carry
FRACTION_BITS = 1074
SMALLEST_NORMAL = 2.0**-1022  # its reciprocal is finite
CARRY_INTERVAL = 2**16  # additions between propagations of the carries


@kernel
def _carry(cells: np.ndarray) -> None:
    """Propagate carries: bring all cells but the last below 2**32."""
    for k in range(len(cells) - 1):
        cells[k + 1] += cells[k] >> CELL_BITS
        cells[k] &= 2**CELL_BITS - 1


@kernel
def _add(
    values: np.ndarray, bits: np.ndarray, cells: np.ndarray
) -> tuple[int, float, float]:
    """Add the finite numbers of `values` to `cells`; return their count and extent.

    `bits` is a view of `values` as int64.
    """
    count, least, largest = 0, np.inf, -np.inf
    for n in range(len(values)):
        value = values[n]
        if not np.isfinite(value):
            continue
        count += 1
        least, largest = min(least, value), max(largest, value)
        exponent = (bits[n] >> 52) & 0x7FF
        mantissa = bits[n] & (2**52 - 1)
        if exponent > 0:
            mantissa |= 2**52
            exponent -= 1
        if bits[n] < 0:
            mantissa = -mantissa
        cell, shift = exponent // CELL_BITS, exponent % CELL_BITS
        # 53 bits and a shift of up to 31: three cells.
        low = (mantissa & (2**CELL_BITS - 1)) << shift
        high = (mantissa >> CELL_BITS) << shift
        cells[cell] += low & (2**CELL_BITS - 1)
        cells[cell + 1] += (low >> CELL_BITS) + (high & (2**CELL_BITS - 1))
        cells[cell + 2] += high >> CELL_BITS
        if count % CARRY_INTERVAL == 0:
            _carry(cells)
    return count, least, largest


@kernel
def add_to_histogram(values: np.ndarray, edges: np.ndarray, counts: np.ndarray) -> None:
    """Add the finite numbers to the counts of intervals, as `np.histogram`.

    Parameters
    ----------
    values : ndarray of float64
    edges : ndarray of float64, (bins + 1,)
        Ascending, of about equal intervals; the last contains its right edge.
    counts : ndarray of int64, (bins + 2,)
        Incremented: the intervals, then the numbers below them, and above.
    """
    bins = len(edges) - 1
    low, high = edges[0], edges[bins]
    width = high / 2 - low / 2  # cannot overflow
    scale = bins / width if width > bins * SMALLEST_NORMAL else 0.0
    for value in values:
        if low <= value <= high:
            n = min(bins - 1, int((value / 2 - low / 2) * scale))
            while n > 0 and value < edges[n]:
                n -= 1
            while n < bins - 1 and value >= edges[n + 1]:
                n += 1
            counts[n] += 1
        elif np.isfinite(value):
            counts[bins if value < low else bins + 1] += 1


class Moments:
    """Count, extent and exact sum of numbers.

    Attributes
    ----------
    count, others : int
        Number of finite values, and of others.
    least, largest : float
        Extent of the finite values; inf and -inf if there are none.
    """

    def __init__(self) -> None:
        self.count = self.others = 0
        self.least, self.largest = math.inf, -math.inf
        self._cells = np.zeros(CELLS, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Add an array of float64."""
        values = np.ascontiguousarray(values)
        count, least, largest = _add(values, values.view(np.int64), self._cells)
        self.count += count
        self.others += len(values) - count
        self.least, self.largest = min(self.least, least), max(self.largest, largest)

    def total(self) -> tuple[int, int]:
        """Return the exact sum as (integer, exponent): ``integer * 2**exponent``."""
        cells = enumerate(self._cells.tolist())
        total = sum(cell << (CELL_BITS * k) for k, cell in cells)
        zeros = (total & -total).bit_length() - 1 if total else FRACTION_BITS
        return total >> zeros, zeros - FRACTION_BITS


def exact_mean(count: int, totals: Iterable[tuple[int, int]]) -> float:
    """Return the float64 nearest to the sum of `Moments.total` results over `count`."""
    total = sum(value << (power + FRACTION_BITS) for value, power in totals)
    return total / (count << FRACTION_BITS)


KERNELS: list[Callable[..., Any]] = [_add, add_to_histogram]
