"""The numbers of one column of Parquet files, by row groups."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from mpiapps.app.arrow import numbers
from mpiapps.fileops.csv_header import MAX_LISTED_COLUMNS
from mpiapps.fileops.segments import Segment

MODULE = "pyarrow.parquet"
BUFFER_BYTES = 2**20  # of compressed data that is read ahead


def is_parquet(name: str) -> bool:
    """Return whether a name is that of a Parquet file."""
    return name.lower().endswith((".parquet", ".pq"))


class ParquetReader:
    """Reader of one column of Parquet files.

    A row group belongs to the segment that contains its first byte.

    Parameters
    ----------
    column : str
        Name of the column, or its number from 1.
    """

    def __init__(self, column: str) -> None:
        self._column = column
        self._name, self._file = "", None  # the last file, whose metadata is read once

    def values(self, segment: Segment) -> Iterator[np.ndarray]:
        """Yield arrays of the numbers of a segment, NaN for nulls.

        Raises
        ------
        OSError, ValueError
            If the file cannot be read, does not have the column, or it is not numeric.
        """
        file = self._open(segment.name)
        column = self._find_column(file.schema_arrow.names)
        groups = [
            n
            for n in range(file.num_row_groups)
            if segment.start <= _first_byte(file.metadata.row_group(n)) < segment.stop
        ]
        for batch in file.iter_batches(
            row_groups=groups, columns=[column], use_threads=False
        ):
            yield numbers(batch.column(0))

    def _open(self, name: str) -> Any:
        if self._file is None or self._name != name:
            self._file = None  # also if the next file cannot be opened
            parquet = importlib.import_module(MODULE)
            self._file = parquet.ParquetFile(name, buffer_size=BUFFER_BYTES)
            self._name = name
        return self._file

    def _find_column(self, names: list[str]) -> str:
        column = self._column
        if column not in names and column.isdigit() and 1 <= int(column) <= len(names):
            column = names[int(column) - 1]
        if column not in names:
            known = ", ".join(names[:MAX_LISTED_COLUMNS])
            raise ValueError(f"no column {column}; the columns are {known}")
        return column


def _first_byte(group: Any) -> int:
    """Return the offset of the first page of a row group."""
    column = group.column(0)
    offset = column.dictionary_page_offset or column.data_page_offset
    return int(min(offset, column.data_page_offset))
