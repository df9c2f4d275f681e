"""All fields of the records of CSV files, and files that have others refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mpiapps.fileops.csv_header import ColumnPositions, CSVOptions, column_names
from mpiapps.fileops.parquet import is_parquet
from mpiapps.fileops.reading import FIRST_READ_BYTES
from mpiapps.fileops.segments import Segment
from mpiapps.fileops.table_columns import line_number
from mpiapps.fileops.tables import TableReader
from mpiapps.kernels.rows import Rows


class RecordReader(TableReader):
    """Reader of records; refuses those with more fields than columns are read.

    Parameters
    ----------
    columns, options, names
        As of `ColumnSource`.
    whole : bool
        Whether `columns` are all those of a file.
    """

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
        if not self.columns:
            raise ValueError("has no columns")
        position = super().position(segment)
        if self._whole:
            self._file = -1  # until the names have been checked
            whole = segment._replace(start=0, stop=segment.size)
            blocks = self.reader.blocks(whole, FIRST_READ_BYTES)
            names = column_names(
                blocks, self.dialect(segment.name), self.options.header
            )
            for name in names:
                if name not in self.columns:
                    raise ValueError(
                        f"column {name} is not in the first file; name the columns to"
                        " convert, such as --column " + self.columns[0]
                    )
            position = position._replace(columns=(*position.columns, len(names)))
            self._file, self._position = segment.file, position
        return position

    def records(self, segment: Segment) -> Iterator[Rows]:
        """Yield the records of a segment; see `rows`.

        Raises
        ------
        OSError, EOFError, ValueError
            As `position`; if a record has more fields than there are columns.
        """
        for offset, rows in self.rows(segment):
            if self._whole:
                more = rows.spans[rows.order[-1], : rows.records, 1] > 0
                if more.any():
                    begin = int(rows.spans[rows.order[0], more.argmax(), 0])
                    path, size = segment.name, segment.size
                    raise ValueError(
                        f"line {line_number(path, size, offset + begin)} has more than"
                        f" {len(self.columns)} fields"
                    )
            yield rows
