"""Records of CSV as record batches of Arrow."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mpiapps.fileops.parquet_parts import ROW_GROUP_BYTES
from mpiapps.kernels.columns import parse_field
from mpiapps.kernels.records import Dialect
from mpiapps.kernels.rows import Rows
from mpiapps.kernels.typed_fields import (
    DECIMAL,
    FILLED,
    INTEGER,
    LARGE,
    OTHER,
    TEXT,
    Values,
    field_kinds,
    fill_values,
    text_bytes,
)

INT64, FLOAT64, STRING = "int64", "double", "string"  # types of Arrow
MAX_BATCH_BYTES = ROW_GROUP_BYTES // 2  # of CSV, before the last records
MAX_DISTINCT = 0.75  # of numbers, above which a dictionary of them is of no use
TYPE_KINDS = {INT64: INTEGER, FLOAT64: DECIMAL, STRING: TEXT}


def column_type(kinds: int) -> str:
    """Return the type of a column with fields of these kinds.

    Integers of more than 64 bits stay text, unless other numbers show that they are
    measured values; a column without values is text.
    """
    if kinds & TEXT or kinds in (0, LARGE, LARGE | INTEGER):
        return STRING
    return FLOAT64 if kinds & DECIMAL else INT64


def schema_of(names: Sequence[str], types: Sequence[str]) -> Any:
    """Return the schema of columns, `pyarrow.Schema`."""
    pa: Any = importlib.import_module("pyarrow")
    kinds = map(pa.type_for_alias, types)
    return pa.schema(list(zip(names, kinds, strict=True)))


class BatchBuilder:
    """Builder of record batches with columns of given types.

    Parameters
    ----------
    names, types : sequence of str
        Of the columns: `INT64`, `FLOAT64` or `STRING`.
    dialect : Dialect
    room : int
        Maximum number of records of a batch.

    Attributes
    ----------
    kinds : ndarray of int64, (columns,)
        Kinds of the fields that were added; see `column_type`. Set `TEXT` for columns
        that are text in any case.
    """

    def __init__(
        self, names: Sequence[str], types: Sequence[str], dialect: Dialect, room: int
    ) -> None:
        self._pa: Any = importlib.import_module("pyarrow")
        self.schema = schema_of(names, types)
        self._types = self.schema.types
        self._dialect, self._room = dialect, room
        self.kinds = np.zeros(len(types), np.int64)
        self._wanted = np.array([TYPE_KINDS[kind] for kind in types], np.int64)
        self._columns_of_text = np.flatnonzero(self._wanted == TEXT).tolist()
        self._clear()

    def _clear(self) -> None:
        shape = len(self._wanted), self._room
        floats, valid = np.empty(shape), np.empty(shape, bool)
        missing = np.zeros(len(self._wanted), np.int64)
        integers = floats.view(np.int64)
        self._values = Values(self._wanted, floats, integers, valid, missing)
        self._texts: dict[int, list[Any]] = {n: [] for n in self._columns_of_text}
        self._filled = self._size = 0

    def __len__(self) -> int:
        """Return the number of records of the next batch."""
        return self._filled

    def has_room(self, records: int) -> bool:
        """Return whether some more records fit into the next batch."""
        return self._filled + records <= self._room and self._size < MAX_BATCH_BYTES

    def add(self, rows: Rows) -> bool:
        """Add records; return False if a field is not of the type of its column.

        Then only `kinds` is of use, and has those of all fields.

        Raises
        ------
        ValueError
            If a text is not UTF-8.
        """
        if not self._add_numbers(rows):
            self.add_kinds(rows)
            return False
        for column, arrays in self._texts.items():
            self._add_kinds(rows, column)
            arrays.append(self._text_array(rows, column))
        self._filled += rows.records
        self._size += len(rows.buffer)
        return True

    def add_kinds(self, rows: Rows) -> None:
        """Add the kinds of records alone."""
        for column in range(len(self._wanted)):
            self._add_kinds(rows, column)

    def repeating(self) -> list[str]:
        """Return the columns to encode with dictionaries.

        Texts, and numbers of which at most `MAX_DISTINCT` are distinct.
        """
        names = []
        for column, name in enumerate(self.schema.names):
            if column not in self._texts:
                x = self._values.floats[column, : self._filled]
                x = x[self._valid(column)]
                if len(np.unique(x.view(np.int64))) > MAX_DISTINCT * len(x):
                    continue
            names.append(name)
        return names

    def _valid(self, column: int) -> np.ndarray:
        if self._wanted[column] == INTEGER:
            return self._values.valid[column, : self._filled]
        valid: np.ndarray = ~np.isnan(self._values.floats[column, : self._filled])
        return valid

    def _add_kinds(self, rows: Rows, column: int) -> None:
        if not self.kinds[column] & TEXT:
            self.kinds[column] |= field_kinds(rows, column, self._dialect)

    def _add_numbers(self, rows: Rows) -> bool:
        at, quote = np.array([0, 0, self._filled]), self._dialect.quote
        while True:
            status = fill_values(rows, quote, self.kinds, self._values, at)
            if status in (FILLED, OTHER):
                return bool(status == FILLED)
            column, n, first = at.tolist()
            begin, end = rows.spans[rows.order[column], n].tolist()
            raw = rows.buffer[begin:end].tobytes()
            kinds = field_kinds(_one_field(raw), 0, self._dialect)
            if kinds & TEXT:
                return False
            self.kinds[column] |= kinds
            self._values.floats[column, first + n] = parse_field(raw, self._dialect)
            at[1] += 1

    def take(self) -> Any:
        """Return the batch of the records that were added."""
        arrays = [
            self._pa.concat_arrays(self._texts[column])
            if column in self._texts
            else self._numbers(column)
            for column in range(len(self._wanted))
        ]
        self._clear()
        return self._pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _numbers(self, column: int) -> Any:
        n = self._filled
        valid = self._valid(column) if self._values.missing[column] else None
        return self._array(column, n, valid, self._values.floats[column, :n])

    def _array(
        self, column: int, n: int, valid: np.ndarray | None, *parts: np.ndarray
    ) -> Any:
        """Return an array of Arrow without a copy; `pa.array` would import pandas."""
        bits = None if valid is None else np.packbits(valid, bitorder="little")
        buffers = [
            None if part is None else self._pa.py_buffer(part)
            for part in (bits, *parts)
        ]
        return self._pa.Array.from_buffers(self._types[column], n, buffers)

    def _text_array(self, rows: Rows, column: int) -> Any:
        """Return texts, with nulls where a record ends before the column."""
        ends, data = text_bytes(rows, column, self._dialect.quote)
        present = rows.spans[rows.order[column], : rows.records, 1] > 0
        present[0] |= rows.order[column] == 0  # the first field of a buffer begins at 0
        valid = None if present.all() else present
        array = self._array(column, rows.records, valid, ends, data)
        try:
            array.validate(full=True)
        except self._pa.ArrowInvalid as error:
            raise ValueError(
                f"column {self.schema.names[column]} has text that is not UTF-8;"
                " convert the file first, for instance with iconv -f LATIN1 -t UTF-8"
            ) from error
        return array


def _one_field(raw: bytes) -> Rows:
    """Return a record of one field."""
    buffer = np.frombuffer(bytearray(raw), np.uint8)
    spans = np.array([[[0, len(raw)]]], np.int32)
    return Rows(buffer, spans, 1, np.zeros(1, np.int64))
