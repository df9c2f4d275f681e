"""All fields of the records of CSV files, and files that have others refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from mpiapps.fileops.csv_header import (
    NO_RECORD,
    ColumnPositions,
    CSVOptions,
    column_names,
)
from mpiapps.fileops.parquet import is_parquet
from mpiapps.fileops.parquet_parts import ROW_GROUP_BYTES
from mpiapps.fileops.reading import FIRST_READ_BYTES
from mpiapps.fileops.segments import MAX_SEGMENT_BYTES, Segment
from mpiapps.fileops.table_columns import line_number
from mpiapps.fileops.tables import TableReader
from mpiapps.kernels.rows import Rows

BATCH_ROOMS = 4  # arrays of records in a batch
NUMBER_BYTES = 8
# Of a compressed file's content: a file that decompresses to four times its size has
# 256 parts.
MIN_PART_BYTES, PARTS_BY_SIZE = 2**24, 64


class RecordReader(TableReader):
    """Reader of records; refuses those with more fields than columns are read.

    Parameters
    ----------
    columns, options, names
        As of `ColumnSource`.
    whole : bool
        Whether `columns` are all those of a file.
    """

    segment_factor = 4  # a Parquet file of each segment

    def __init__(
        self,
        columns: Sequence[str],
        options: CSVOptions,
        names: Sequence[str],
        *,
        whole: bool,
    ) -> None:
        super().__init__(columns, options, names)
        self._whole = whole

    @property
    def batch_room(self) -> int:
        """Maximum number of records in a batch: half a row group of numbers."""
        most = ROW_GROUP_BYTES // (2 * NUMBER_BYTES * max(1, len(self.columns)))
        return max(1, min(BATCH_ROOMS * super().room, most))

    @property
    def room(self) -> int:
        """Maximum number of records in one array."""
        return min(super().room, self.batch_room)

    def position(self, segment: Segment) -> ColumnPositions:
        """Return the indices of the columns, and of the one after the last.

        Raises
        ------
        OSError, EOFError, ValueError
            If the file cannot be read, lacks a column, has others, or is not CSV.
        """
        if self._file == segment.file:
            return self._position
        if is_parquet(segment.name):
            raise ValueError("is a Parquet file already")
        position = super().position(segment)
        if self._whole:
            self._file = -1  # until the names have been checked
            whole = segment._replace(start=0, stop=segment.size)
            blocks = self.reader.blocks(whole, FIRST_READ_BYTES)
            names = column_names(
                blocks, self.dialect(segment.name), self.options.header
            )
            if not self.columns:
                raise ValueError(f"has no columns; {NO_RECORD}")
            for name in names:
                if name not in self.columns:
                    raise ValueError(
                        f"column {name} is not in the first file; name the columns to"
                        " convert, such as --column " + self.columns[0]
                    )
            position = position._replace(columns=(*position.columns, len(names)))
            self._file, self._position = segment.file, position
        return position

    def content(
        self, segment: Segment, window: int = 0
    ) -> Iterator[tuple[int | None, np.ndarray]]:
        """Yield the records of a segment of a compressed file, for each part anew."""
        return super().content(segment, window or part_bytes(segment.size))

    def parts(self, segment: Segment) -> Iterator[tuple[int, int, Iterator[Rows]]]:
        """Yield start, stop and records of each part of the result.

        A segment is one part; a compressed file has one for each window of its content,
        so that parts depend on its size alone. Raises the errors of `records`.
        """
        if self.is_splittable(segment.name):
            yield segment.start, segment.stop, self.records(segment)
            return
        window = part_bytes(segment.size)
        located = groupby(self._located(segment), lambda pair: pair[0] // window)
        for n, pairs in located:
            yield n * window, (n + 1) * window, (rows for _, rows in pairs)

    def records(self, segment: Segment) -> Iterator[Rows]:
        """Yield the records of a segment; see `rows`.

        Raises
        ------
        OSError, EOFError, ValueError
            As `position`; if a record has more fields than there are columns.
        """
        return (rows for _, rows in self._located(segment))

    def _located(self, segment: Segment) -> Iterator[tuple[int, Rows]]:
        for offset, rows in self.rows(segment):
            if self._whole:
                has_more = rows.spans[rows.order[-1], : rows.records, 1] > 0
                if has_more.any():
                    begin = int(rows.spans[rows.order[0], has_more.argmax(), 0])
                    path, size = segment.name, segment.size
                    raise ValueError(
                        f"line {line_number(path, size, offset + begin)} has more than"
                        f" {len(self.columns)} fields"
                    )
            yield offset, rows


def part_bytes(size: int) -> int:
    """Return the bytes of content in a part of the result of a compressed file."""
    return min(max(size // PARTS_BY_SIZE, MIN_PART_BYTES), MAX_SEGMENT_BYTES)
