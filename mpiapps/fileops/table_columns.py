"""Which columns of tables are read, and notes on fields that are not numbers."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.base.streams import printable
from mpiapps.fileops.columns import SAMPLE
from mpiapps.fileops.csv_header import CSVOptions, column_names
from mpiapps.fileops.file_run import FileRun
from mpiapps.fileops.parquet import MODULE, is_parquet, numeric_columns
from mpiapps.fileops.reading import FIRST_READ_BYTES, SegmentReader
from mpiapps.fileops.segments import Segment
from mpiapps.fileops.summary import ColumnTotal
from mpiapps.kernels.jit import is_cached
from mpiapps.kernels.records import NEWLINE, RECORD, Dialect, find_record_end

MAX_NOTES = 10  # on invalid fields


def csv_options(run: FileRun) -> CSVOptions:
    """Return the description of CSV files in the options."""
    options = run.options
    return CSVOptions(options.delimiter, options.quote, options.header)


def chosen_columns(run: FileRun) -> tuple[tuple[str, ...], CSVOptions]:
    """Return the columns of the options, or all of the first file. Collective.

    Raises
    ------
    InputError
        On all ranks, if two columns of that file have the same name.
    """
    world, columns = run.ctx.world, tuple(run.options.column)
    options = csv_options(run)
    if not columns:
        with run.ctx.compiling(not is_cached(find_record_end)):
            find_record_end(SAMPLE, RECORD, *Dialect())
            with suppress(ImportError):  # each file that needs it fails
                if any(map(is_parquet, run.listing.names)):
                    importlib.import_module(MODULE)
    with world.agree():
        if world.is_root and not columns:
            columns = tuple(_all_columns(run, options))
    return world.comm.bcast(columns, world.root), options


def _all_columns(run: FileRun, options: CSVOptions) -> list[str]:
    """Return the columns of the first file that has any. Root only."""
    reader = SegmentReader()
    for n, name in enumerate(run.listing.names):
        size = int(run.listing.sizes[n])
        try:
            if is_parquet(name):
                names = numeric_columns(name)
            else:
                blocks = reader.blocks(
                    Segment(n, name, 0, size, size), FIRST_READ_BYTES
                )
                names = column_names(blocks, options.dialect(name), options.header)
        except (OSError, EOFError, ValueError, ImportError):
            continue  # it fails as a file
        for column in names:
            if names.count(column) > 1 and (column or is_parquet(name)):
                raise InputError(
                    f"{name}: {names.count(column)} columns are named {column!r}; name"
                    " the columns to read by number, such as --column 1"
                )
        if names:
            return names
    return []


def result_names(columns: Sequence[str]) -> list[str]:
    """Return the names of columns in a result, distinct if those given are.

    A column without a name gets its number from 1, and underscores if another column
    has that name.
    """
    names, given = [], {*columns}
    for n, column in enumerate(columns, 1):
        name = column or str(n)
        while not column and name in given:
            name += "_"
        names.append(name)
    return names


def invalid_notes(
    run: FileRun, columns: Sequence[str], totals: Sequence[ColumnTotal]
) -> list[str]:
    """Return a note for each column with numbers and other fields. Root only."""
    notes = []
    for name, total in zip(columns, totals, strict=True):
        if not (total.count and total.example):
            continue
        file, offset, text = total.example
        path = run.listing.names[file]
        line = line_number(path, int(run.listing.sizes[file]), offset)
        more = f" (of {total.invalid} such values)" if total.invalid > 1 else ""
        notes.append(
            f"{printable(path)}: line {line}: {printable(text)!r} in column"
            f" {printable(name)} is not a finite number{more}"
        )
    return notes[:MAX_NOTES]


def line_number(path: str, size: int, offset: int) -> int:
    """Return the line of a byte of the content of a file, from 1."""
    line, start = 1, 0
    for block in SegmentReader().blocks(Segment(0, path, 0, size, size)):
        line += int(np.count_nonzero(block[: max(0, offset - start)] == NEWLINE))
        start += len(block)
        if start >= offset:
            break
    return line
