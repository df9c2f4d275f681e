"""Count, extent, exact sum and leading bits of the numbers of several columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from mpiapps.fileops.column_source import FilePosition
from mpiapps.fileops.segments import Segment
from mpiapps.fileops.tables import TableOperation, TableReader
from mpiapps.kernels import moments, selection
from mpiapps.kernels.moments import Moments, exact_mean, finite
from mpiapps.kernels.selection import LEVELS, count_bits, matching

KEY_BITS = 64
MAX_SCALE_POWER = 1000
Arrays = list[list[np.ndarray]]  # numbers of each column, in parts


@dataclass
class ColumnTotal:
    """The totals of one column over segments of files.

    Attributes
    ----------
    count, missing, invalid : int
        Finite numbers, missing values, other fields.
    least, largest : float
    sums : list of (int, int)
        Exact sums: ``integer * 2**exponent`` each.
    example : tuple or None
        File, offset and text of the first invalid field.
    counts : ndarray of int64, (1, 4096)
        Numbers by their leading bits.
    """

    count: int = 0
    missing: int = 0
    invalid: int = 0
    least: float = math.inf
    largest: float = -math.inf
    sums: list[tuple[int, int]] = field(default_factory=list)
    example: tuple[int, int, str] | None = None
    counts: np.ndarray = field(
        default_factory=lambda: np.zeros((1, 1 << LEVELS[0]), np.int64)
    )

    def add(self, file: int, part: list[Any]) -> None:
        """Add the result of a segment; see `ColumnSummary.execute`."""
        count, missing, invalid, least, largest, total, power, example, *bits = part
        self.count += count
        self.missing += missing
        self.invalid += invalid
        if count:
            self.least = min(self.least, least)
            self.largest = max(self.largest, largest)
        self.sums.append((total, power))
        if example:  # parts of a compressed file are not in the order of its content
            first = (file, *example)
            self.example = min(self.example or first, first)
        self.counts[0, bits[0]] += np.array(bits[1], np.int64)

    @property
    def mean(self) -> float:
        """The exact mean, rounded once."""
        return exact_mean(self.count, self.sums)

    @property
    def scale(self) -> float:
        """A power of two that makes all numbers less than 1, so squares are finite."""
        power = math.frexp(max(abs(self.least), abs(self.largest)))[1]
        return 2.0 ** -max(-MAX_SCALE_POWER, min(MAX_SCALE_POWER, power))

    def std(self, squares: Iterable[tuple[int, int]]) -> float | None:
        """Return the standard deviation with the divisor ``count - 1``.

        Parameters
        ----------
        squares : iterable of (int, int)
            Exact sums of the squares of ``number * scale - mean * scale``, which are
            rounded each; the rounding of the mean is corrected.
        """
        if self.count < 2:
            return None
        scale = self.scale
        total = sum(exact(*each) for each in squares)
        error = sum(exact(*each) for each in self.sums) / self.count
        error = error * Fraction(scale) - Fraction(self.mean * scale)
        variance = (total - self.count * error**2) / (self.count - 1)
        return math.sqrt(max(0, variance)) / scale


def exact(integer: int, power: int) -> Fraction:
    """Return ``integer * 2**power``."""
    return Fraction(integer << power) if power > 0 else Fraction(integer, 1 << -power)


class NumbersOperation(TableOperation):
    """An operation on the numbers of several columns."""

    kernels: Sequence[Callable[..., Any]] = [
        *TableOperation.kernels,
        *moments.KERNELS,
        *selection.KERNELS,
    ]
    splits_compressed = True

    def warm_up(self) -> None:
        """Compile the kernels by calling them once, import what reads Parquet."""
        super().warm_up()
        values, counts = np.zeros(1), np.zeros((1, 1 << LEVELS[0]), np.int64)
        Moments().add(finite(np.append(values, np.nan)))
        count_bits(values, np.zeros(1, np.uint64), 52, 12, counts)
        matching(values, np.zeros(1, np.uint64), 52)


class ColumnSummary(NumbersOperation):
    """Find the totals of each column.

    Parameters
    ----------
    source : TableReader
    max_kept : int
        Maximum number of numbers to keep in memory.

    Attributes
    ----------
    kept_numbers : dict of (int, int) to list of list of ndarray
        Finite numbers of each column of whole segments, by file and first byte.
    """

    def __init__(self, source: TableReader, max_kept: int = 0) -> None:
        super().__init__(source)
        self._room = max_kept
        self.kept_numbers: dict[FilePosition, list[list[np.ndarray]]] = {}

    def execute(self, segment: Segment) -> list[list[Any]]:
        """Return a list for each column.

        Numbers, missing and invalid fields, least, largest, exact sum as integer and
        exponent, offset and text of the first invalid field or None, leading bits of
        the numbers, and their counts.
        """
        n, shift = len(self._source.columns), KEY_BITS - LEVELS[0]
        totals = [Moments() for _ in range(n)]
        missing = np.zeros(n, np.int64)
        counts = np.zeros((n, 1, 1 << LEVELS[0]), np.int64)
        prefix = np.zeros(1, np.uint64)
        arrays: list[list[np.ndarray]] = []
        size = 0
        for values in self._source.values(segment):
            missing += np.isnan(values).sum(axis=1)
            numbers = [finite(column) for column in values]
            for k, column in enumerate(numbers):
                totals[k].add(column)
                totals[k].others += values.shape[1] - len(column)
                count_bits(column, prefix, shift, LEVELS[0], counts[k])
            size += values.size
            if size <= self._room:
                arrays.append([column.copy() for column in numbers])
        if size <= self._room:
            self._room -= size
            self.kept_numbers[segment.file, segment.start] = arrays
        results = []
        invalid = self._source.invalid
        for total, lost, example, (row,) in zip(
            totals, missing.tolist(), invalid, counts, strict=True
        ):
            extent = [total.least, total.largest] if total.count else [0.0, 0.0]
            bits = np.flatnonzero(row)
            results.append(
                [total.count, lost, total.others - lost, *extent, *total.total(),
                 example, bits.tolist(), row[bits].tolist()]
            )  # fmt: skip
        return results


class RefinedCounts(NumbersOperation):
    """Count the next bits of numbers that begin with given bits.

    Parameters
    ----------
    source : TableReader
    level : int
        Index in `LEVELS`.
    prefixes : sequence of ndarray
        For each column the leading bits, as for `kernels.selection.count_bits`.
    centers : sequence of (float, float)
        For each column the center of squared deviations, and the factor before; empty
        for none.
    skipped : set of (int, int)
        File and first byte of segments that the caller counts, or that count nothing.

    Attributes
    ----------
    counts : list of ndarray
        Of each column, those of this rank.
    """

    def __init__(
        self,
        source: TableReader,
        level: int,
        prefixes: Sequence[np.ndarray],
        centers: Sequence[tuple[float, float]],
        skipped: Callable[[Segment], bool],
    ) -> None:
        super().__init__(source)
        self._width = LEVELS[level]
        self._shift = KEY_BITS - sum(LEVELS[: level + 1])
        self._prefixes, self._centers, self._skipped = prefixes, centers, skipped
        self.counts = self._zeros()

    def _zeros(self) -> list[np.ndarray]:
        shapes = [(len(each), 1 << self._width) for each in self._prefixes]
        return [np.zeros(shape, np.int64) for shape in shapes]

    def execute(self, segment: Segment) -> list[list[Any]]:
        """Return for each column its squares as exact sum, indices, and counts."""
        if self._skipped(segment):
            return []
        counts = self._zeros()
        squares = self.count(self._source.values(segment), counts)
        results = []
        for square, column in zip(squares, counts, strict=True):
            indices = np.flatnonzero(column)
            results.append([*square, indices.tolist(), column.flat[indices].tolist()])
        return results

    def count(
        self, arrays: Iterable[Iterable[np.ndarray]], counts: list[np.ndarray]
    ) -> list[tuple[int, int]]:
        """Add arrays to the counts; return the exact sums of squared deviations."""
        squares = [Moments() for _ in self._prefixes]
        for values in arrays:
            for k, column in enumerate(values):
                if len(self._prefixes[k]):
                    count_bits(
                        column, self._prefixes[k], self._shift, self._width, counts[k]
                    )
                if self._centers:
                    center, scale = self._centers[k]
                    with np.errstate(invalid="ignore"):
                        squares[k].add((column * scale - center * scale) ** 2)
        return [each.total() for each in squares]

    def matching(self, arrays: Arrays) -> Arrays:
        """Return the numbers that this level and later ones count."""
        shift = self._shift + self._width
        return [
            [matching(column, bits, shift)
             for column, bits in zip(values, self._prefixes, strict=True)]
            for values in arrays
        ]  # fmt: skip

    def for_root(self, segment: Segment, value: list[list[Any]]) -> list[Any]:
        """Add the counts to those of this rank; return the squares."""
        del segment
        for column, (_, _, indices, counts) in zip(self.counts, value, strict=False):
            column.reshape(-1)[indices] += np.array(counts, np.int64)
        return [tuple(part[:2]) for part in value]
