"""`files convert`: CSV to a directory of Parquet files."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.base.optional import require
from mpiapps.fileops.arrow_batches import (
    FLOAT64,
    STRING,
    BatchBuilder,
    column_type,
    schema_of,
)
from mpiapps.fileops.csv_quotes import read_quote_states
from mpiapps.fileops.file_run import FileRun, ValuesAndLines
from mpiapps.fileops.parquet import MODULE
from mpiapps.fileops.parquet_parts import PartDirectory, write_part
from mpiapps.fileops.record_reader import RecordReader, part_bytes
from mpiapps.fileops.segments import Segment
from mpiapps.fileops.table_columns import chosen_columns, result_names
from mpiapps.fileops.tables import TableOperation
from mpiapps.kernels import typed_fields
from mpiapps.kernels.records import Dialect
from mpiapps.kernels.rows import RowParser, Rows
from mpiapps.kernels.typed_fields import TEXT

EMPTY = "empty.parquet"  # the part of files without records
MAX_SAMPLED_FILES, MAX_SAMPLED_ROWS = 16, 8  # where types are looked for


class _OtherTypeError(Exception):
    """A field is not of the type of its column."""


class PartWriter(TableOperation):
    """Write the records of each segment to a Parquet file.

    Parameters
    ----------
    source : RecordReader
    names : sequence of str
        Of the columns of the result.
    texts : collection of str
        Those of `names` that are text in any case.
    directory : Path
    samples : sequence of Segment
        Files from which the types are predicted: the first that has records.

    Attributes
    ----------
    types : sequence of str
        Of the columns; empty: those of the sample.
    """

    kernels: Sequence[Callable[..., Any]] = [
        *TableOperation.kernels,
        *typed_fields.KERNELS,
    ]
    splits_compressed = True

    def __init__(
        self,
        source: RecordReader,
        names: Sequence[str],
        texts: Collection[str],
        directory: Path,
        samples: Sequence[Segment],
    ) -> None:
        super().__init__(source)
        self._records, self._names, self._directory = source, names, directory
        self._texts = [name in texts for name in names]
        self._samples, self.types = samples, list[str]()
        self._is_final = False
        self._dictionaries: list[str] | None = None

    def warm_up(self) -> None:
        """Compile the kernels by calling them once, import what writes Parquet."""
        super().warm_up()
        importlib.import_module(MODULE)
        for rows in RowParser([0], Dialect(), 1).rows(np.array([49, 10], np.uint8)):
            for kind in (FLOAT64, STRING):
                builder = BatchBuilder(["a"], [kind], Dialect(), 1)
                builder.add(rows)
                builder.take()

    def is_still_valid(self, value: list[Any]) -> bool:
        """Return whether the recorded parts exist."""
        return all(
            records <= 0 or (self._directory / part).exists()
            for *_, part, records in value
        )

    def set_types(self, types: Sequence[str]) -> None:
        """Set the types of the columns, which are those of all records."""
        self.types, self._dictionaries = list(types), None
        self._is_final = True

    def prefix(self, types: Sequence[str]) -> str:
        """Return the start of the names of parts with these types."""
        text = json.dumps([self._records.columns, self._names, types])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def window_bytes(self, size: int) -> int:
        """Return the bytes of a part of the content of a compressed file."""
        return part_bytes(size)

    def execute(self, segment: Segment) -> list[Any]:
        """Write parts; return start, kinds of the columns, name and records of each.

        The number of records is -1 if it is not written, since a field is not of the
        type of its column.

        Raises
        ------
        OSError, EOFError, ValueError
            As `RecordReader.records`; if a text is not UTF-8, or the part cannot be
            written; if a field is not of its type after `set_types`.
        """
        if self._dictionaries is None:
            self._predict()
        return [self._write(segment, *part) for part in self._records.parts(segment)]

    def _write(
        self, segment: Segment, start: int, stop: int, arrays: Iterator[Rows]
    ) -> list[Any]:
        text = json.dumps([segment.name, start, stop])
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        part = f"{self.prefix(self.types)}-{digest}.parquet"
        builder = self._builder(segment)
        path, batches = self._directory / part, self._batches(builder, arrays)
        try:
            records = write_part(path, builder.schema, batches, self._dictionaries)
        except _OtherTypeError:
            if self._is_final:
                raise ValueError("changed while it was converted") from None
            records = -1
            for rows in arrays:
                builder.add_kinds(rows)
        return [start, builder.kinds.tolist(), part, records]

    def _builder(self, segment: Segment) -> BatchBuilder:
        dialect, room = self._records.dialect(segment.name), self._records.batch_room
        types = self.types or [STRING] * len(self._names)
        builder = BatchBuilder(self._names, types, dialect, room)
        builder.kinds[self._texts] = TEXT
        return builder

    def _batches(self, builder: BatchBuilder, arrays: Iterator[Rows]) -> Iterator[Any]:
        for rows in arrays:
            if not builder.has_room(rows.records):
                yield builder.take()
            if not builder.add(rows):
                raise _OtherTypeError
        if len(builder):
            yield builder.take()

    def _predict(self) -> None:
        """Choose types and dictionaries by a sample; the same on all ranks."""
        self._dictionaries = list(self._names)
        for sample in self._samples:
            with suppress(OSError, EOFError, ValueError):  # its file fails
                types = self.types or self._sampled_types(sample)
                rows = next(self._records.records(sample), None)
                if rows is not None:
                    self.types = types
                    builder = self._builder(sample)
                    builder.add(rows)
                    self._dictionaries = builder.repeating()
                    return
        self.types = self.types or [STRING] * len(self._names)

    def _sampled_types(self, sample: Segment) -> list[str]:
        """Return the types of the first records, of more if a column has no value."""
        builder = self._builder(sample)
        for rows in islice(self._records.records(sample), MAX_SAMPLED_ROWS):
            builder.add_kinds(rows)
            if builder.kinds.all():
                break
        return [column_type(kinds) for kinds in builder.kinds.tolist()]


def convert(run: FileRun) -> ValuesAndLines:
    """Convert CSV to Parquet. Collective.

    Passes over the files: quotes, records. If the types of columns are not those of
    the first records, all parts are written again with the types of all records.
    """
    require("pyarrow", "files", "convert")
    options, world = run.options, run.ctx.world
    target = PartDirectory(Path(options.output_dir), keep=run.recorded)
    columns, csv_options = chosen_columns(run)
    names = result_names(columns)
    with ExitStack() as stack:
        with world.agree():
            if world.is_root:
                _check(names, options.text)
                opened = target.open(force_unlock=options.force_unlock)
                stack.enter_context(opened)
        whole = not options.column
        source = RecordReader(columns, csv_options, run.listing.names, whole=whole)
        read_quote_states(run, source)
        writer = PartWriter(source, names, options.text, target.path, _samples(run))
        written = run.execute(writer, f"files-{writer.prefix([])}")
        values = [part for parts in written.values for part in parts]
        kinds = np.array([[0] * len(names), *(part[1] for part in values)], np.int64)
        types = [
            column_type(kind) for kind in np.bitwise_or.reduce(kinds, axis=0).tolist()
        ]
        prefix = writer.prefix(types)
        done = all(
            records >= 0 and part.startswith(prefix) for *_, part, records in values
        )
        types, done = world.comm.bcast((types, done), world.root)
        if not done:
            writer.set_types(types)
            errors = dict(run.errors)  # of files that fail again, for another reason
            written = run.execute(writer, f"files-{writer.prefix(types)}")
            run.errors.update(errors)
        lines = []
        good = {
            file: sorted((part for parts in values for part in parts), key=_start)
            for file, values in written.by_file().items()
            if file not in run.errors
        }
        with world.agree():
            if world.is_root:
                lines = _commit(target, schema_of(names, types), good)
    records = sum(n for parts in good.values() for *_, n in parts)
    result: dict[str, Any] = {"records": records, "parts": len(lines)}
    if good:
        result |= {"columns": names, "types": types}
    return result, [f"{line}\n" for line in lines]


def _start(part: list[Any]) -> int:
    start: int = part[0]
    return start


def _samples(run: FileRun) -> list[Segment]:
    """Return the largest files, in which types are looked for."""
    sizes = run.listing.sizes
    largest = np.argsort(-sizes, kind="stable")[:MAX_SAMPLED_FILES].tolist()
    bounds = [(n, int(sizes[n])) for n in largest if sizes[n] > 0]
    return [Segment(n, run.listing.names[n], 0, size, size) for n, size in bounds]


def _check(columns: Sequence[str], texts: Sequence[str]) -> None:
    for name in texts if columns else ():  # without columns all files fail
        if name not in columns:
            listed = ", ".join(columns)
            raise InputError(f"--text {name}: no such column; the columns are {listed}")


def _commit(
    target: PartDirectory,
    schema: Any,
    written: dict[int, list[Any]],
) -> list[str]:
    """Complete the directory; return its files. Root only."""
    if not written:
        return []
    found = chain.from_iterable(written.values())
    parts = [part for *_, part, records in found if records]
    if not parts:
        parts = [EMPTY]
        write_part(target.path / EMPTY, schema, (), keep_empty=True)
    return target.commit(parts)
