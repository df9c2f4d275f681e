"""Count, extent and exact sum of numbers, and how many lie in intervals; one process.

A sum is kept as an integer multiple of the least number above zero, in cells of 32 bits
with room above them: its bits do not depend on the order of the numbers (U. Kulisch,
the long accumulator).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from mpiapps.kernels.jit import kernel

CELL = 32  # bits of a cell, of 64
CELLS = 68  # 1074 bits below 1, 1024 above, and some for the carry
UNITS = 1074  # bits behind the point
OFTEN = 2**16  # numbers that are added before carries are passed on


@kernel
def _carry(cells: np.ndarray) -> None:
    """Bring all cells but the last one below 2**32."""
    for k in range(len(cells) - 1):
        cells[k + 1] += cells[k] >> CELL
        cells[k] &= 2**CELL - 1


@kernel
def _add(
    values: np.ndarray, bits: np.ndarray, cells: np.ndarray
) -> tuple[int, float, float]:
    """Add the finite ones of `values` to `cells`; return their number and extent.

    `bits` is the same memory as int64.
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
        cell, shift = exponent // CELL, exponent % CELL
        # 53 bits and a shift of up to 31: three cells.
        low = (mantissa & (2**CELL - 1)) << shift
        high = (mantissa >> CELL) << shift
        cells[cell] += low & (2**CELL - 1)
        cells[cell + 1] += (low >> CELL) + (high & (2**CELL - 1))
        cells[cell + 2] += high >> CELL
        if count % OFTEN == 0:
            _carry(cells)
    return count, least, largest


@kernel
def tally(values: np.ndarray, edges: np.ndarray, counts: np.ndarray) -> None:
    """Count the finite numbers between edges, as `np.histogram`. Local.

    Parameters
    ----------
    values : ndarray of float64
    edges : ndarray of float64, (bins + 1,)
        Ascending, of about equal intervals; the last one holds its right edge, too.
    counts : ndarray of int64, (bins + 2,)
        Added to: the intervals, what lies below them, and above.
    """
    bins = len(edges) - 1
    low, high = edges[0], edges[bins]
    width = high / 2 - low / 2  # which cannot overflow
    for value in values:
        if not np.isfinite(value):
            continue
        if value < low or value > high:
            counts[bins if value < low else bins + 1] += 1
            continue
        guess = (value / 2 - low / 2) / width * bins if width > 0 else 0.0
        n = min(bins - 1, int(guess))
        while n > 0 and value < edges[n]:
            n -= 1
        while n < bins - 1 and value >= edges[n + 1]:
            n += 1
        counts[n] += 1


class Moments:
    """How many numbers there are, their extent, and their exact sum. Local.

    Attributes
    ----------
    count, others : int
        Finite numbers, and what is not one.
    least, largest : float
        Of these; infinite, with the wrong signs, if there is none.
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
        """Return the sum, exactly, as an integer and the power of two it is times."""
        cells = enumerate(self._cells.tolist())
        total = sum(cell << (CELL * k) for k, cell in cells)
        zeros = (total & -total).bit_length() - 1 if total else UNITS
        return total >> zeros, zeros - UNITS


def mean(count: int, totals: Iterable[tuple[int, int]]) -> float:
    """Return the float64 nearest to the sum of totals over a count. Local."""
    total = sum(value << (power + UNITS) for value, power in totals)
    return total / (count << UNITS)


KERNELS: list[Callable[..., Any]] = [_add, tally]
