"""The distribution of the numbers in one column of CSV or Parquet files."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

import numpy as np

from mpiapps.app.arrow import numbers
from mpiapps.fileops.column_source import ColumnSource, FilePosition
from mpiapps.fileops.csv_header import CSVOptions
from mpiapps.fileops.operation import Operation
from mpiapps.fileops.parquet import MODULE, is_parquet
from mpiapps.fileops.reading import FIRST_READ_BYTES
from mpiapps.fileops.segments import OPEN_COST, Segment
from mpiapps.kernels import columns, moments, records
from mpiapps.kernels.columns import ColumnParser
from mpiapps.kernels.moments import Moments, add_to_histogram, finite
from mpiapps.kernels.records import (
    NEWLINE,
    RECORD,
    STATES,
    Dialect,
    advance_quote_states,
    find_record_end,
)

Source = TypeVar("Source", bound=ColumnSource)
SAMPLE = np.full(1, 97, np.uint8)


class ColumnReader(ColumnSource):
    """Reader of the numbers of one column.

    Parameters
    ----------
    name : str
        Name or number of the column; see `csv_header.find_columns`.
    options : CSVOptions
    names : iterable of str, optional
        The files.
    """

    def __init__(
        self, name: str, options: CSVOptions, names: Iterable[str] = ()
    ) -> None:
        super().__init__((name,), options, names)

    def values(self, segment: Segment) -> Iterator[np.ndarray]:
        """Yield arrays of the numbers of a segment, NaN where a field is not a number.

        Raises
        ------
        OSError, EOFError, ValueError
            If the file cannot be read, does not have the column, or ends inside quotes.
        """
        if is_parquet(segment.name):
            yield from map(_first_numbers, self.parquet.batches(segment))
            return
        (column,), begin = self.position(segment)
        dialect = self.dialect(segment.name)
        if not self.is_splittable(segment.name):
            parser = ColumnParser(column, dialect, offset=begin)
            for gap, block in self.content(segment):
                parser.skip(gap or 0)
                yield parser.numbers(block)
            yield parser.end()
            return
        start = min(max(segment.start, begin), segment.stop)
        state = RECORD if start <= begin else self.state(segment, dialect)
        parser = ColumnParser(column, dialect, state, start)
        for block in self.reader.blocks(segment._replace(start=start)):
            yield parser.numbers(block)
        rest = segment._replace(start=segment.stop, stop=segment.size)
        for block in self.reader.blocks(rest, FIRST_READ_BYTES) if parser.open else ():
            yield parser.numbers(block, once=True)
            if not parser.open:
                break
        yield parser.end()


def _first_numbers(arrays: Sequence[Any]) -> np.ndarray:
    return numbers(arrays[0])


class ColumnOperation(Operation, Generic[Source]):
    """An operation on columns."""

    kernels: Sequence[Callable[..., Any]] = records.KERNELS
    open_cost = OPEN_COST

    def __init__(self, source: Source) -> None:
        self._source = source
        self.segment_factor = source.segment_factor

    def warm_up(self) -> None:
        """Compile the kernels by calling them once, import what reads Parquet."""
        with suppress(ImportError):  # each file that needs it fails
            if self._source.has_parquet:
                importlib.import_module(MODULE)
        dialect = Dialect()
        find_record_end(SAMPLE, RECORD, *dialect)
        advance_quote_states(SAMPLE, NEWLINE, *dialect, np.array(STATES))

    def is_splittable(self, name: str) -> bool:
        """Return whether a file may be split."""
        return self._source.is_splittable(name)


class NumberOperation(ColumnOperation[ColumnReader]):
    """An operation on the numbers of one column."""

    kernels: Sequence[Callable[..., Any]] = [
        *records.KERNELS,
        *columns.KERNELS,
        *moments.KERNELS,
    ]
    splits_compressed = True

    def warm_up(self) -> None:
        """Compile the kernels by calling them once, import what reads Parquet."""
        super().warm_up()
        values = ColumnParser(0, Dialect()).numbers(SAMPLE)
        arrays = [finite(np.append(values, np.nan)), np.ones(1), np.ones(1)]
        # Arrays of Arrow are read-only, which to numba is a type of its own.
        arrays[2].setflags(write=not self._source.has_parquet)
        for array in arrays:
            Moments().add(array)
            add_to_histogram(array, np.arange(2.0), np.zeros(3, np.int64))


class ColumnMoments(NumberOperation):
    """Find the count, the extent and the sum of the numbers.

    Parameters
    ----------
    source : ColumnReader
    max_kept : int
        Maximum number of numbers to keep in memory.

    Attributes
    ----------
    kept_numbers : dict of (int, int) to list of ndarray
        Numbers of whole segments, by file and first byte.
    """

    def __init__(self, source: ColumnReader, max_kept: int = 0) -> None:
        super().__init__(source)
        self._room = max_kept
        self.kept_numbers: dict[FilePosition, list[np.ndarray]] = {}

    def execute(self, segment: Segment) -> list[Any]:
        """Return the counts of numbers and of others, least, largest, exact sum."""
        total = Moments()
        arrays: list[np.ndarray] = []
        for values in self._source.values(segment):
            numbers = finite(values)
            total.add(numbers)
            total.others += len(values) - len(numbers)
            if total.count <= self._room:
                # A view keeps its whole base array in memory; copy it unless all values
                # are kept.
                whole = numbers is values or numbers.base is None
                arrays.append(numbers if whole else numbers.copy())
        if total.count <= self._room:
            self._room -= total.count
            self.kept_numbers[segment.file, segment.start] = arrays
        extent = [total.least, total.largest] if total.count else [0.0, 0.0]
        return [total.count, total.others, *extent, *total.total()]


class ColumnHistogram(NumberOperation):
    """Count the numbers between edges.

    Parameters
    ----------
    source : ColumnReader
    edges : ndarray of float64
        Ascending; the last interval contains its right edge, as in `np.histogram`.
    done : collection of (int, int)
        File and first byte of segments that the caller counts.
    """

    def __init__(
        self, source: ColumnReader, edges: np.ndarray, done: Collection[FilePosition]
    ) -> None:
        super().__init__(source)
        self._edges, self._done = edges, done

    def execute(self, segment: Segment) -> list[int]:
        """Return the counts of the intervals, then those below and above."""
        if (segment.file, segment.start) in self._done:
            return []
        return [int(n) for n in self.counts(self._source.values(segment))]

    def counts(self, arrays: Iterable[np.ndarray]) -> np.ndarray:
        """Return the counts of arrays of numbers."""
        counts = np.zeros(len(self._edges) + 1, np.int64)
        for values in arrays:
            add_to_histogram(values, self._edges, counts)
        return counts
