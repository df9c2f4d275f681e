"""The distribution of the numbers in one column of CSV or Parquet files."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from mpiapps.fileops.csv_header import ColumnPosition, CSVOptions, find_column
from mpiapps.fileops.operation import Operation
from mpiapps.fileops.parquet import MODULE, ParquetReader, is_parquet
from mpiapps.fileops.reading import FIRST_READ_BYTES, SegmentReader, open_segment
from mpiapps.fileops.segments import OPEN_COST, Segment
from mpiapps.kernels import columns, moments
from mpiapps.kernels.columns import ColumnParser
from mpiapps.kernels.moments import Moments, add_to_histogram
from mpiapps.kernels.records import (
    FIELD,
    NEWLINE,
    PLAIN,
    RECORD,
    STATES,
    Dialect,
    advance_quote_states,
    find_record_end,
)

SAMPLE = np.full(1, 97, np.uint8)
FilePosition = tuple[int, int]  # index of a file in the listing, and a byte offset


class ColumnReader:
    """Reader of the numbers of one column.

    Parameters
    ----------
    name : str
        Name or number of the column; see `csv_header.find_column`.
    options : CSVOptions
    names : iterable of str, optional
        The files.

    Attributes
    ----------
    has_parquet : bool
        Whether any of the files is a Parquet file.
    quote_states : mapping of (int, int) to int
        See `csv_quotes.quote_states`.
    """

    def __init__(
        self, name: str, options: CSVOptions, names: Iterable[str] = ()
    ) -> None:
        self._name, self._options = name, options
        self._parquet = ParquetReader(name)
        self.has_parquet = any(map(is_parquet, names))
        self._reader = SegmentReader()
        self._file, self._position = -1, ColumnPosition(0, 0)
        self.quote_states: Mapping[FilePosition, int] = {}

    def is_splittable(self, name: str) -> bool:
        """Return whether a file may be split."""
        return is_parquet(name) or self._reader.is_splittable(name)

    def dialect(self, name: str) -> Dialect:
        """Return the CSV dialect of a file; one without quotes for a Parquet file."""
        return Dialect(quote=-1) if is_parquet(name) else self._options.dialect(name)

    def position(self, segment: Segment) -> ColumnPosition:
        """Return the index of the column in the segment's file, and the data's start.

        Raises
        ------
        OSError, EOFError, ValueError
            If the file cannot be read, or does not have the column.
        """
        if self._file != segment.file:
            whole = segment._replace(start=0, stop=segment.size)
            blocks = self._reader.blocks(whole, FIRST_READ_BYTES)
            dialect, header = self.dialect(segment.name), self._options.header
            self._position = find_column(blocks, self._name, dialect, header)
            self._file = segment.file
        return self._position

    def values(self, segment: Segment) -> Iterator[np.ndarray]:
        """Yield arrays of the numbers of a segment, NaN where a field is not a number.

        Raises
        ------
        OSError, EOFError, ValueError
            If the file cannot be read, does not have the column, or ends inside quotes.
        """
        if is_parquet(segment.name):
            yield from self._parquet.values(segment)
            return
        column, begin = self.position(segment)
        dialect = self.dialect(segment.name)
        if not self.is_splittable(segment.name):
            parser = ColumnParser(column, dialect)
            for block in _skip_bytes(self._reader.blocks(segment), begin):
                yield parser.numbers(block)
            yield parser.end()
            return
        start = min(max(segment.start, begin), segment.stop)
        state = RECORD if start <= begin else self._state(segment, dialect)
        parser = ColumnParser(column, dialect, state, start)
        for block in self._reader.blocks(segment._replace(start=start)):
            yield parser.numbers(block)
        rest = segment._replace(start=segment.stop, stop=segment.size)
        for block in self._reader.blocks(rest, FIRST_READ_BYTES) if parser.open else ():
            yield parser.numbers(block, once=True)
            if not parser.open:
                break
        yield parser.end()

    def _state(self, segment: Segment, dialect: Dialect) -> int:
        """Return the parser state at the first byte of a segment."""
        quoted = self.quote_states.get((segment.file, segment.start))
        if quoted is not None:
            return quoted
        with open_segment(segment) as file:
            (previous,) = os.pread(file, 1, segment.start - 1) or b"\0"
        return {NEWLINE: RECORD, dialect.delimiter: FIELD}.get(previous, PLAIN)


def _skip_bytes(blocks: Iterator[np.ndarray], n: int) -> Iterator[np.ndarray]:
    """Yield blocks without the first `n` bytes of all."""
    for block in blocks:
        yield block[n:]
        n = max(0, n - len(block))


class ColumnOperation(Operation):
    """An operation on the numbers of a column."""

    kernels: Sequence[Callable[..., Any]] = [*columns.KERNELS, *moments.KERNELS]
    open_cost = OPEN_COST

    def __init__(self, source: ColumnReader) -> None:
        self._source = source

    def warm_up(self) -> None:
        """Compile the kernels by calling them once, import what reads Parquet."""
        with suppress(ImportError):  # each file that needs it fails
            if self._source.has_parquet:
                importlib.import_module(MODULE)
        dialect = Dialect()
        find_record_end(SAMPLE, RECORD, *dialect)
        advance_quote_states(SAMPLE, NEWLINE, *dialect, np.array(STATES))
        values = ColumnParser(0, dialect).numbers(SAMPLE)
        Moments().add(values)
        add_to_histogram(values, np.arange(2.0), np.zeros(3, np.int64))

    def is_splittable(self, name: str) -> bool:
        """Return whether a file may be split."""
        return self._source.is_splittable(name)


class ColumnMoments(ColumnOperation):
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
            others = total.others
            total.add(values)
            if total.count <= self._room:
                finite = total.others == others
                arrays.append(values if finite else values[np.isfinite(values)])
        if total.count <= self._room:
            self._room -= total.count
            self.kept_numbers[segment.file, segment.start] = arrays
        extent = [total.least, total.largest] if total.count else [0.0, 0.0]
        return [total.count, total.others, *extent, *total.total()]


class ColumnHistogram(ColumnOperation):
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
