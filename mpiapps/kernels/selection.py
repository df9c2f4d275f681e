"""Exact order statistics by counting the leading bits of numbers; one process.

The numbers are mapped to unsigned integers of the same order. Each pass counts the next
bits of those that share the bits found so far with an order statistic (a radix
selection). Counts are integers, so they may be added in any order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import int64, uint64

from mpiapps.kernels.jit import inline, kernel

LEVELS = (12, 13, 13, 13, 13)  # bits of each pass: sign and exponent, then the others
SIGN = 1 << 63


@inline
def _key(value: Any) -> Any:
    """Return the unsigned integer of a finite number, in the order of numbers."""
    bits = int64(np.float64(value + 0.0).view(np.int64))  # one zero, not two
    return uint64(bits) ^ (uint64(bits >> 63) | uint64(SIGN))


@kernel
def count_bits(
    values: np.ndarray, prefixes: np.ndarray, shift: int, width: int, counts: np.ndarray
) -> None:
    """Count the values of some bits in numbers that begin with given bits.

    Parameters
    ----------
    values : ndarray of float64
        Those that are not finite are left out.
    prefixes : ndarray of uint64, (n,)
        The bits before those to count, ascending.
    shift, width : int
        Number of bits after those to count, and number of these.
    counts : ndarray of int64, (n, 2**width)
        Incremented.
    """
    mask = uint64((1 << width) - 1)
    for value in values:
        if not np.isfinite(value):
            continue
        part = _key(value) >> uint64(shift)
        prefix = part >> uint64(width)
        for n in range(len(prefixes)):
            if prefixes[n] == prefix:
                counts[n, int64(part & mask)] += 1
                break


@kernel
def _copy_matching(
    values: np.ndarray, prefixes: np.ndarray, shift: int, result: np.ndarray
) -> int:
    """Copy the finite numbers that begin with given bits; return how many they are."""
    count = 0
    for value in values:
        prefix = _key(value) >> uint64(shift)
        for n in range(len(prefixes)):
            if prefixes[n] == prefix:
                result[count] = value
                count += 1
                break
    return count


def matching(values: np.ndarray, prefixes: np.ndarray, shift: int) -> np.ndarray:
    """Return the numbers of an array that begin with given bits.

    Parameters
    ----------
    values : ndarray of float64
        Finite.
    prefixes : ndarray of uint64, (n,)
    shift : int
        Number of bits after these, less than 64.
    """
    result = np.empty(len(values))
    return result[: _copy_matching(values, prefixes, shift, result)].copy()


class Selection:
    """The order statistics of one column, found bit by bit.

    Parameters
    ----------
    indices : sequence of int
        Which numbers in ascending order, from 0.

    Attributes
    ----------
    prefixes : ndarray of uint64
        The leading bits of the numbers found so far, ascending, each once.
    """

    def __init__(self, indices: Sequence[int]) -> None:
        self._below = np.array(indices, np.int64)  # among those of equal prefix
        self._found = np.zeros(len(indices), np.uint64)
        self.prefixes = np.unique(self._found)

    def narrow(self, counts: np.ndarray) -> bool:
        """Determine the next bits from their counts, (prefixes, 2**width).

        Return whether the counts are those of all numbers with the prefixes.
        """
        width = np.uint64(counts.shape[1].bit_length() - 1)
        complete = True
        for k, prefix in enumerate(self._found):
            cumulated = np.cumsum(counts[np.searchsorted(self.prefixes, prefix)])
            part = int(np.searchsorted(cumulated, self._below[k], side="right"))
            if part == len(cumulated):
                complete, part = False, 0
            self._below[k] -= cumulated[part - 1] if part else 0
            self._found[k] = (prefix << width) | np.uint64(part)
        self.prefixes = np.unique(self._found)
        return complete

    def numbers(self) -> list[float]:
        """Return the order statistics, after all `LEVELS`."""
        bits = np.where(self._found >> np.uint64(63), self._found ^ np.uint64(SIGN),
                        ~self._found)  # fmt: skip
        return [float(value) for value in bits.view(np.float64)]


def percentile_indices(count: int, percentile: float) -> tuple[int, int, float]:
    """Return the two indices next to a percentile, and the weight of the second.

    As the method ``linear`` of `numpy.percentile`.
    """
    position = percentile / 100 * (count - 1)
    low = min(count - 1, math.floor(position))
    return low, min(count - 1, low + 1), position - low


def interpolate(low: float, high: float, weight: float) -> float:
    """Return the number between two others, as `numpy.percentile`."""
    step = high - low
    if not math.isfinite(step):
        return low * (1 - weight) + high * weight
    return low + step * weight if weight < 0.5 else high - step * (1 - weight)


KERNELS: list[Callable[..., object]] = [count_bits, _copy_matching]
