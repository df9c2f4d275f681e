"""`files convert`: CSV to a directory of Parquet files."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.base.optional import require
from mpiapps.fileops.csv_quotes import read_quote_states
from mpiapps.fileops.file_run import FileRun, ValuesAndLines
from mpiapps.fileops.parquet import MODULE
from mpiapps.fileops.parquet_parts import PartDirectory, write_part
from mpiapps.fileops.record_reader import RecordReader
from mpiapps.fileops.segments import Segment
from mpiapps.fileops.table_columns import chosen_columns
from mpiapps.fileops.tables import TableOperation
from mpiapps.kernels import typed_fields
from mpiapps.kernels.numbers_in_rows import NumberParser
from mpiapps.kernels.records import Dialect
from mpiapps.kernels.rows import RowParser, Rows
from mpiapps.kernels.typed_fields import (
    DECIMAL,
    INTEGER,
    LARGE,
    TEXT,
    field_kinds,
    fill_infinities,
    fill_integers,
    text_bytes,
)

INT64, FLOAT64, STRING = "int64", "double", "string"  # types of Arrow
EMPTY = "empty.parquet"  # the part of files without records


def column_type(kinds: int) -> str:
    """Return the type of a column with fields of these kinds.

    Integers of more than 64 bits stay text, unless other numbers show that they are
    measured values; a column without values is text.
    """
    if kinds & TEXT or kinds in (0, LARGE, LARGE | INTEGER):
        return STRING
    return FLOAT64 if kinds & DECIMAL else INT64


class FieldKinds(TableOperation):
    """Find the kinds of the fields of each column.

    Parameters
    ----------
    source : RecordReader
    """

    kernels: Sequence[Callable[..., Any]] = [
        *TableOperation.kernels,
        *typed_fields.KERNELS,
    ]

    def warm_up(self) -> None:
        """Compile the kernels by calling them once, import what writes Parquet."""
        super().warm_up()
        importlib.import_module(MODULE)
        for rows in RowParser([0], Dialect(), 1).rows(np.array([49, 10], np.uint8)):
            field_kinds(rows, 0, Dialect())
            text_bytes(rows, 0, -1)
            _integers(rows, 0, -1)
            fill_infinities(rows, 0, -1, np.zeros(rows.records))

    def execute(self, segment: Segment) -> list[int]:
        """Return the kinds of each column, as bits."""
        source: Any = self._source
        kinds = [0] * len(source.columns)
        dialect = source.dialect(segment.name)
        for rows in source.records(segment):
            for column, kind in enumerate(kinds):
                if not kind & TEXT:
                    kinds[column] |= field_kinds(rows, column, dialect)
        return kinds


class PartWriter(FieldKinds):
    """Write the records of each segment to a Parquet file.

    Parameters
    ----------
    source : RecordReader
    names, types : sequence of str
        Of the columns of the result.
    directory : Path
    """

    def __init__(
        self,
        source: RecordReader,
        names: Sequence[str],
        types: Sequence[str],
        directory: Path,
    ) -> None:
        super().__init__(source)
        self._pa: Any = importlib.import_module("pyarrow")
        pairs = [
            (name, self._pa.type_for_alias(kind))
            for name, kind in zip(names, types, strict=True)
        ]
        self.schema = self._pa.schema(pairs)
        self._types, self._directory = types, directory
        key = json.dumps([list(source.columns), pairs], default=str)
        self.key = hashlib.sha256(key.encode()).hexdigest()[:16]

    def is_still_valid(self, value: list[Any]) -> bool:
        """Return whether a recorded part exists."""
        part, records = value
        return not records or (self._directory / part).exists()

    def execute(self, segment: Segment) -> list[Any]:
        """Write a part; return its name, and its number of records.

        Raises
        ------
        OSError, EOFError, ValueError
            As `RecordReader.records`; if a text is not UTF-8, or the part cannot be
            written.
        """
        text = json.dumps([segment.name, segment.start, self.key])
        part = f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.parquet"
        return [
            part,
            write_part(self._directory / part, self.schema, self._batches(segment)),
        ]

    def _batches(self, segment: Segment) -> Iterator[Any]:
        source: Any = self._source
        dialect = source.dialect(segment.name)
        for rows in source.records(segment):
            arrays = [
                self._array(rows, column, kind, dialect)
                for column, kind in enumerate(self._types)
            ]
            yield self._pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _array(self, rows: Rows, column: int, kind: str, dialect: Dialect) -> Any:
        if kind == STRING:
            return self._texts(rows, column, dialect.quote)
        if kind == INT64:
            values, valid = _integers(rows, column, dialect.quote)
            return self._array_of(kind, valid, values)
        parser = NumberParser(1, dialect, rows.records)
        one = Rows(rows.buffer, rows.spans, rows.records, rows.order[column:][:1])
        ((numbers,),) = parser.arrays([(0, one)])
        fill_infinities(rows, column, dialect.quote, numbers)
        return self._array_of(kind, ~np.isnan(numbers), numbers)

    def _array_of(self, kind: str, valid: np.ndarray, *parts: np.ndarray) -> Any:
        """Return an array of Arrow without a copy; `pa.array` would import pandas."""
        nulls = len(valid) - int(np.count_nonzero(valid))
        bits = np.packbits(valid, bitorder="little") if nulls else None
        buffers = [
            None if part is None else self._pa.py_buffer(part)
            for part in (bits, *parts)
        ]
        return self._pa.Array.from_buffers(
            self._pa.type_for_alias(kind), len(valid), buffers, nulls
        )

    def _texts(self, rows: Rows, column: int, quote: int) -> Any:
        """Return texts, with nulls where a record ends before the column."""
        ends, data = text_bytes(rows, column, quote)
        present = rows.spans[rows.order[column], : rows.records, 1] > 0
        present[0] |= rows.order[column] == 0  # the first field of a buffer begins at 0
        array = self._array_of(STRING, present, ends, data)
        try:
            array.validate(full=True)
        except self._pa.ArrowInvalid as error:
            name = self.schema.names[column]
            raise ValueError(
                f"column {name} has text that is not UTF-8; convert the file first, for"
                " instance with iconv -f LATIN1 -t UTF-8"
            ) from error
        return array


def _integers(rows: Rows, column: int, quote: int) -> tuple[np.ndarray, np.ndarray]:
    values, valid = np.empty(rows.records, np.int64), np.empty(rows.records, bool)
    fill_integers(rows, column, quote, values, valid)
    return values, valid


def convert(run: FileRun) -> ValuesAndLines:
    """Convert CSV to Parquet. Collective.

    Passes over the files: quotes, types of the columns, records.
    """
    require("pyarrow", "files", "convert")
    options, world = run.options, run.ctx.world
    target = PartDirectory(Path(options.output_dir), keep=run.recorded)
    columns, csv_options = chosen_columns(run)
    with ExitStack() as stack:
        with world.agree():
            if world.is_root:
                _check(columns, options.text)
                opened = target.open(force_unlock=options.force_unlock)
                stack.enter_context(opened)
        whole = not options.column
        source = RecordReader(columns, csv_options, run.listing.names, whole=whole)
        read_quote_states(run, source)
        results = run.execute(FieldKinds(source), "types")
        kinds = np.bitwise_or.reduce(
            [[0] * len(columns), *results.values], axis=0
        ).tolist()
        types = [
            STRING if name in options.text else column_type(kind)
            for name, kind in zip(columns, kinds, strict=True)
        ]
        types = world.comm.bcast(types, world.root)
        names = _result_names(columns)
        writer = PartWriter(source, names, types, target.path)
        written = run.execute(writer, f"parts-{writer.key}")
        lines = []
        with world.agree():
            if world.is_root:
                lines = _commit(target, writer, written.by_file(), run.errors)
    good = (
        parts for file, parts in written.by_file().items() if file not in run.errors
    )
    records = sum(n for parts in good for _, n in parts)
    values = {"records": records, "parts": len(lines)}
    return values | {"columns": names, "types": types}, [f"{line}\n" for line in lines]


def _check(columns: Sequence[str], texts: Sequence[str]) -> None:
    for name in texts:
        if name not in columns:
            known = ", ".join(columns)
            raise InputError(f"--text {name}: no such column; the columns are {known}")


def _result_names(columns: Sequence[str]) -> list[str]:
    """Return the names of columns, numbers from 1 for those without a name."""
    return [name or str(n) for n, name in enumerate(columns, 1)]


def _commit(
    target: PartDirectory,
    writer: PartWriter,
    written: dict[int, list[Any]],
    failed: Container[int],
) -> list[str]:
    """Complete the directory; return its files. Root only."""
    good = [file for file in written if file not in failed]
    if not good:
        return []
    parts = [part for file in good for part, records in written[file] if records]
    if not parts:
        parts = [EMPTY]
        write_part(target.path / EMPTY, writer.schema, (), keep_empty=True)
    return target.commit(parts)
