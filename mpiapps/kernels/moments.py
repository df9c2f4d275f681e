"""Count, extent, exact sum and histogram of numbers; one process.

The sum is an integer multiple of the smallest positive float64, so its bits do not
depend on the order of the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from mpiapps.kernels.jit import kernel
from mpiapps.kernels.superaccumulator import (
    SPECIAL,
    UNIT_BITS,
    add_bits,
    new_sums,
    units,
)

SMALLEST_NORMAL = 2.0**-1022  # its reciprocal is finite
MAX_ADDED = 2**36  # numbers in the sums of `superaccumulator`


@kernel
def _compress(values: np.ndarray, result: np.ndarray) -> int:
    """Copy the finite numbers, without a branch; return how many they are."""
    count = 0
    for n in range(len(values)):
        value = values[n]
        result[count] = value
        count += np.isfinite(value)
    return count


def finite(values: np.ndarray) -> np.ndarray:
    """Return the finite numbers of an array of float64, itself if all are."""
    kept = np.isfinite(values)
    if kept.all():
        return values
    if not values.flags.writeable:  # numba would compile the kernel a second time
        return np.compress(kept, values)
    result = np.empty(len(values))
    return result[: _compress(values, result)]


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
        self._sums, self._added, self._units = new_sums(), 0, 0

    def add(self, values: np.ndarray) -> None:
        """Add an array of float64."""
        if self._added + len(values) >= MAX_ADDED:
            self._units += units(self._sums)
            self._sums, self._added = new_sums(), 0
        self._added += len(values)
        values = np.ascontiguousarray(values)
        others = self._sums[SPECIAL]
        add_bits(values.view(np.int64), self._sums)
        if self._sums[SPECIAL] > others:
            numbers = values[np.isfinite(values)]
            self.others += len(values) - len(numbers)
            values = numbers
        self.count += len(values)
        if len(values):
            # Of equal zeros, NumPy returns the one that its vectors come to: never -0.
            self.least = min(self.least, float(values.min()) + 0.0)
            self.largest = max(self.largest, float(values.max()) + 0.0)

    def total(self) -> tuple[int, int]:
        """Return the exact sum as (integer, exponent): ``integer * 2**exponent``."""
        total = self._units + units(self._sums)
        zeros = (total & -total).bit_length() - 1 if total else UNIT_BITS
        return total >> zeros, zeros - UNIT_BITS


def exact_mean(count: int, totals: Iterable[tuple[int, int]]) -> float:
    """Return the float64 nearest to the sum of `Moments.total` results over `count`."""
    total = sum(value << (power + UNIT_BITS) for value, power in totals)
    return total / (count << UNIT_BITS)


KERNELS: list[Callable[..., Any]] = [add_bits, _compress, add_to_histogram]
