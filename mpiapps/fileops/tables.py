"""The numbers of several columns of CSV or Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from mpiapps.app.arrow import numbers
from mpiapps.fileops.column_source import ColumnSource
from mpiapps.fileops.columns import ColumnOperation
from mpiapps.fileops.parquet import is_parquet
from mpiapps.fileops.reading import FIRST_READ_BYTES
from mpiapps.fileops.segments import Segment
from mpiapps.kernels import numbers_in_rows, records, rows
from mpiapps.kernels.numbers_in_rows import NumberParser
from mpiapps.kernels.records import RECORD, Dialect, find_record_end
from mpiapps.kernels.rows import RowParser, Rows

BATCH_NUMBERS = 2**18  # of one array, so that it stays in the cache
MIN_ROOM = 2**10  # records of an array
EMPTY = np.empty(0, np.uint8)

Invalid = list[tuple[int, str] | None]


class TableReader(ColumnSource):
    """Reader of the records of several columns.

    Attributes
    ----------
    invalid : list of (int, str) or None
        For each column the file offset and the text of the first field, in the segment
        that was read last, that is neither a finite number nor missing.
    """

    invalid: Invalid

    @property
    def room(self) -> int:
        """Maximum number of records in one array."""
        return max(MIN_ROOM, BATCH_NUMBERS // max(1, len(self.columns)))

    def values(self, segment: Segment) -> Iterator[np.ndarray]:
        """Yield arrays of float64, (columns, records): NaN is missing, inf invalid.

        Raises
        ------
        OSError, EOFError, ValueError
            If the file cannot be read, does not have the columns, or ends in quotes.
        """
        self.invalid = [None] * len(self.columns)
        if is_parquet(segment.name):
            for arrays in self.parquet.batches(segment):
                yield np.stack([numbers(array) for array in arrays])
            return
        parser = NumberParser(len(self.columns), self.dialect(segment.name), self.room)
        yield from parser.arrays(self.rows(segment))
        self.invalid = parser.invalid

    def rows(self, segment: Segment) -> Iterator[tuple[int, Rows]]:
        """Yield the records of a segment of CSV, with the file offset of their buffer.

        Raises
        ------
        OSError, EOFError, ValueError
            As `values`.
        """
        columns, begin = self.position(segment)
        dialect = self.dialect(segment.name)
        if not self.is_splittable(segment.name):
            parser = RowParser(columns, dialect, self.room, begin)
            for gap, block in self.content(segment):
                if gap is not None:
                    yield from _located(parser, EMPTY, search_all=True)
                    parser.offset += gap
                yield from _located(parser, block)
        else:
            start = min(max(segment.start, begin), segment.stop)
            state = RECORD if start <= begin else self.state(segment, dialect)
            parser = RowParser(columns, dialect, self.room, start)
            for block in self.reader.blocks(segment._replace(start=start)):
                end = 0
                if state != RECORD:  # the record belongs to the previous segment
                    end, state = find_record_end(block, state, *dialect)
                    parser.offset += end if end >= 0 else len(block)
                if end >= 0:
                    yield from _located(parser, block[end:])
            if state == RECORD:
                # Records may end in bytes that the parser has not searched yet.
                yield from _located(parser, EMPTY, search_all=True)
                for block in self._open_record(segment, parser.open_bytes()):
                    yield from _located(parser, block)
        yield from ((parser.offset, rows) for rows in parser.end())

    def _open_record(self, segment: Segment, begun: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the bytes after a segment of a record that has begun in it."""
        if not len(begun):
            return
        dialect = self.dialect(segment.name)
        _, state = find_record_end(begun, RECORD, *dialect)
        rest = segment._replace(start=segment.stop, stop=segment.size)
        for block in self.reader.blocks(rest, FIRST_READ_BYTES):
            end, state = find_record_end(block, state, *dialect)
            yield block[:end] if end >= 0 else block
            if end >= 0:
                return


def _located(
    parser: RowParser, block: np.ndarray, *, search_all: bool = False
) -> Iterator[tuple[int, Rows]]:
    """Yield the records that end in a block, with the file offset of their buffer."""
    found = parser.rows(block, search_all=search_all)
    yield from ((parser.offset, rows) for rows in found)


class TableOperation(ColumnOperation[TableReader]):
    """An operation on the records of several columns."""

    kernels: Sequence[Callable[..., Any]] = [
        *records.KERNELS,
        *rows.KERNELS,
        *numbers_in_rows.KERNELS,
    ]

    def warm_up(self) -> None:
        """Compile the kernels by calling them once, import what reads Parquet."""
        super().warm_up()
        dialect = Dialect()
        text = np.frombuffer(bytearray(b"1\n"), np.uint8)
        batches = RowParser([0], dialect, 1).rows(text)
        parser = NumberParser(1, dialect, 1)
        next(parser.arrays((0, rows) for rows in batches))
