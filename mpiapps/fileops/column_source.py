"""The records of CSV and Parquet files that have some columns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from mpiapps.fileops.csv_header import ColumnPositions, CSVOptions, find_columns
from mpiapps.fileops.parquet import ParquetReader, is_parquet
from mpiapps.fileops.reading import FIRST_READ_BYTES, SegmentReader, open_segment
from mpiapps.fileops.segments import Segment
from mpiapps.fileops.windows import CSVEnds, own_records
from mpiapps.kernels.records import FIELD, NEWLINE, PLAIN, RECORD, Dialect

FilePosition = tuple[int, int]  # index of a file in the listing, and a byte offset


class ColumnSource:
    """Files with some columns, and where they are.

    Parameters
    ----------
    columns : sequence of str
        Names or numbers of the columns; see `csv_header.find_columns`.
    options : CSVOptions
    names : iterable of str, optional
        The files.

    Attributes
    ----------
    has_parquet : bool
        Whether any of the files is a Parquet file.
    quote_states : mapping of (int, int) to int
        See `csv_quotes.quote_states`.
    segment_factor : int
        See `operation.Operation`.
    """

    segment_factor = 1

    def __init__(
        self, columns: Sequence[str], options: CSVOptions, names: Iterable[str] = ()
    ) -> None:
        self.columns, self.options = tuple(columns), options
        self.parquet = ParquetReader(self.columns)
        self.has_parquet = any(map(is_parquet, names))
        self.reader = SegmentReader()
        self._file, self._position = -1, ColumnPositions((), 0)
        self.quote_states: Mapping[FilePosition, int] = {}

    def is_splittable(self, name: str) -> bool:
        """Return whether a file may be split."""
        return is_parquet(name) or self.reader.is_splittable(name)

    def dialect(self, name: str) -> Dialect:
        """Return the CSV dialect of a file; one without quotes for a Parquet file."""
        return Dialect(quote=-1) if is_parquet(name) else self.options.dialect(name)

    def position(self, segment: Segment) -> ColumnPositions:
        """Return the indices of the columns in a segment's file, and the data's start.

        Raises
        ------
        OSError, EOFError, ValueError
            If the file cannot be read, or does not have the columns.
        """
        if self._file != segment.file:
            whole = segment._replace(start=0, stop=segment.size)
            blocks = self.reader.blocks(whole, FIRST_READ_BYTES)
            dialect, header = self.dialect(segment.name), self.options.header
            self._position = find_columns(blocks, self.columns, dialect, header)
            self._file = segment.file
        return self._position

    def content(
        self, segment: Segment, window: int = 0
    ) -> Iterator[tuple[int | None, np.ndarray]]:
        """Yield the records of a segment of a compressed file, after its header.

        See `windows.own_records`.
        """
        start, dialect = self.position(segment).start, self.dialect(segment.name)
        blocks = skip_bytes(self.reader.content(segment.name), start)
        return own_records(blocks, segment, CSVEnds(dialect), start, window)

    def state(self, segment: Segment, dialect: Dialect) -> int:
        """Return the parser state at the first byte of a segment."""
        quoted = self.quote_states.get((segment.file, segment.start))
        if quoted is not None:
            return quoted
        with open_segment(segment) as file:
            (previous,) = os.pread(file, 1, segment.start - 1) or b"\0"
        return {NEWLINE: RECORD, dialect.delimiter: FIELD}.get(previous, PLAIN)


def skip_bytes(blocks: Iterator[np.ndarray], n: int) -> Iterator[np.ndarray]:
    """Yield blocks without the first `n` bytes of all."""
    for block in blocks:
        yield block[n:]
        n = max(0, n - len(block))
