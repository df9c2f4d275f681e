"""Columns of Parquet files, by row groups."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mpiapps.fileops.csv_header import MAX_LISTED_COLUMNS
from mpiapps.fileops.segments import Segment

MODULE = "pyarrow.parquet"
BUFFER_BYTES = 2**20  # of compressed data that is read ahead


def is_parquet(name: str) -> bool:
    """Return whether a name is that of a Parquet file."""
    return name.lower().endswith((".parquet", ".pq"))


class ParquetReader:
    """Reader of columns of Parquet files.

    A row group belongs to the segment that contains its first byte.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns, or their numbers from 1.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._name, self._file = "", None  # the last file, whose metadata is read once
        self._offsets = np.empty(0, np.int64)  # of its row groups

    def batches(self, segment: Segment) -> Iterator[list[Any]]:
        """Yield the columns of a segment, in parts: arrays of pyarrow of equal length.

        Raises
        ------
        OSError, ValueError
            If the file cannot be read, or does not have the columns, or if there are
            none: of those that can be read, no file has a column of numbers.
        """
        file = self._open(segment.name)
        if not self._columns:
            raise ValueError("has no column of numbers")
        names = file.schema_arrow.names
        columns = [_find_column(wanted, names) for wanted in self._columns]
        begun = (segment.start <= self._offsets) & (self._offsets < segment.stop)
        groups = np.flatnonzero(begun).tolist()
        if not groups:
            return  # an iterator without batches costs as much as reading a small batch
        for batch in file.iter_batches(
            row_groups=groups, columns=columns, use_threads=False
        ):
            yield [batch.column(name) for name in columns]

    def _open(self, name: str) -> Any:
        if self._file is None or self._name != name:
            self._file = None  # also if the next file cannot be opened
            parquet = importlib.import_module(MODULE)
            file = parquet.ParquetFile(name, buffer_size=BUFFER_BYTES)
            # A file without columns has no bytes to begin at.
            count = file.num_row_groups if file.metadata.num_columns else 0
            groups = map(file.metadata.row_group, range(count))
            self._offsets = np.array(list(map(_first_byte, groups)), np.int64)
            self._name, self._file = name, file
        return self._file


def numeric_columns(name: str) -> list[str]:
    """Return the names of the numeric columns of a file, booleans included."""
    pa: Any = importlib.import_module("pyarrow")
    schema = importlib.import_module(MODULE).read_schema(name)
    kinds = pa.types
    checks = (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_decimal)
    return [each.name for each in schema if any(is_a(each.type) for is_a in checks)]


def _find_column(column: str, names: list[str]) -> str:
    if column not in names and column.isdigit() and 1 <= int(column) <= len(names):
        column = names[int(column) - 1]
    if column not in names:
        listed = ", ".join(names[:MAX_LISTED_COLUMNS])
        raise ValueError(f"no column {column}; the columns are {listed}")
    if names.count(column) > 1:
        raise ValueError(f"{names.count(column)} columns are named {column}")
    return column


def _first_byte(group: Any) -> int:
    """Return the offset of the first page of a row group."""
    column = group.column(0)
    offset = column.dictionary_page_offset or column.data_page_offset
    return int(min(offset, column.data_page_offset))
