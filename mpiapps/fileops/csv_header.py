"""Header of a CSV file: the start of the data, and the indices of columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mpiapps.fileops.reading import MAX_RECORD_BYTES
from mpiapps.kernels.records import RECORD, Dialect, find_record_end

MISSING_VALUES = frozenset({"na", "n/a", "nan", "null", "none", "-", "?"})
COMMENT = b"#"
MAX_LISTED_COLUMNS = 20  # in an error


@dataclass(frozen=True)
class CSVOptions:
    """The user's description of CSV files.

    Attributes
    ----------
    delimiter : str
        One ASCII character; empty: a tab for ``.tsv``, else a comma.
    quote : str
        One ASCII character; empty: no quotes.
    header : {"auto", "yes", "no"}
        Whether the first record is a header.
    """

    delimiter: str = ""
    quote: str = '"'
    header: str = "auto"

    def dialect(self, name: str) -> Dialect:
        """Return the dialect of a file."""
        delimiter = self.delimiter or ("\t" if ".tsv" in name.lower() else ",")
        return Dialect(ord(delimiter), ord(self.quote) if self.quote else -1)


class ColumnPositions(NamedTuple):
    """The result of `find_columns`.

    Attributes
    ----------
    columns : tuple of int
        Indices of the columns, from 0.
    start : int
        Offset of the first byte of the data.
    """

    columns: tuple[int, ...]
    start: int


def find_columns(
    blocks: Iterable[np.ndarray], wanted: Sequence[str], dialect: Dialect, header: str
) -> ColumnPositions:
    """Return the indices of columns and the start of the data.

    Blank lines and lines that begin with ``#`` before the header are skipped.

    Parameters
    ----------
    blocks : iterable of ndarray of uint8
        The file from its start.
    wanted : sequence of str
        Names in the header, or numbers of columns from 1. What could be either is a
        name with ``header="yes"``, else a number.
    dialect : Dialect
    header : {"auto", "yes", "no"}
        ``auto``: the first record is a header if it contains one of the names or, if
        all of `wanted` are numbers, if none of its fields is a number or a missing
        value.

    Raises
    ------
    ValueError
        If a column is missing, or several have its name.
    """
    start, names = 0, list[str]()
    for record in _records(blocks, dialect):
        names = _fields(record, dialect)
        numbers = [_number(name, len(names)) for name in wanted]
        named = [
            header == "yes" or (header == "auto" and not number) for number in numbers
        ]
        is_name = [by and name in names for name, by in zip(wanted, named, strict=True)]
        skipped = not record.strip() or record.startswith(COMMENT)
        if all(is_name) or (any(is_name) and not skipped):
            indices = [
                _index(names, name) if by else _at(number, name, names)
                for name, by, number in zip(wanted, is_name, numbers, strict=True)
            ]
            return ColumnPositions(tuple(indices), start + len(record))
        if not skipped:
            is_header = {"yes": True, "no": False}.get(header, _is_header(names))
            start += is_header * len(record)
            break
        start += len(record)
    else:  # the file has no data
        numbers = [_number(name, MAX_RECORD_BYTES) for name in wanted]
        names = []
    if all(numbers):
        return ColumnPositions(tuple(number - 1 for number in numbers), start)
    raise ValueError(_no_column(wanted[numbers.index(0)], names))


def _at(number: int, name: str, names: list[str]) -> int:
    if not number:
        raise ValueError(_no_column(name, names))
    return number - 1


def _no_column(name: str, names: list[str]) -> str:
    listed = ", ".join(names[:MAX_LISTED_COLUMNS])
    return f"no column {name}; the first record is {listed}"


def _index(names: list[str], name: str) -> int:
    if names.count(name) > 1:
        raise ValueError(
            f"{names.count(name)} columns are named {name}; give the column's number"
        )
    return names.index(name)


def column_names(
    blocks: Iterable[np.ndarray], dialect: Dialect, header: str
) -> list[str]:
    """Return the names of all columns, or their numbers if there is no header."""
    for record in _records(blocks, dialect):
        if record.strip() and not record.startswith(COMMENT):
            names = _fields(record, dialect)
            if {"yes": True, "no": False}.get(header, _is_header(names)):
                return names
            return [str(n + 1) for n in range(len(names))]
    return []


def _records(blocks: Iterable[np.ndarray], dialect: Dialect) -> Iterator[bytes]:
    """Yield records with their ends; the last record may have none."""
    parts: list[bytes] = []
    held, state, quote = 0, RECORD, dialect.quote
    for block in blocks:
        begin = 0
        while begin < len(block):
            if state == RECORD and not parts:
                comment = block[begin] == COMMENT[0]
                quote = -1 if comment else dialect.quote
            rest = block[begin:]
            end, state = find_record_end(rest, state, dialect.delimiter, quote)
            parts.append(rest[: end if end > 0 else len(rest)].tobytes())
            held += len(parts[-1])
            if held > MAX_RECORD_BYTES:
                raise ValueError(
                    f"the first record is longer than {MAX_RECORD_BYTES} bytes; is"
                    " a quote not closed?"
                )
            begin += len(parts[-1])
            if end > 0:
                yield b"".join(parts)
                parts, held = [], 0
    if parts:
        yield b"".join(parts)


def _fields(record: bytes, dialect: Dialect) -> list[str]:
    text = record.decode("utf-8-sig", "replace")
    if dialect.quote < 0:
        return text.rstrip("\r\n").split(chr(dialect.delimiter))
    limit = csv.field_size_limit(MAX_RECORD_BYTES)
    try:
        stream = io.StringIO(text, newline="")
        rows = csv.reader(
            stream, delimiter=chr(dialect.delimiter), quotechar=chr(dialect.quote)
        )
        return next(rows, [])
    finally:
        csv.field_size_limit(limit)


def _number(wanted: str, maximum: int) -> int:
    """Return the number of a column if it is at most `maximum`, else 0."""
    number = int(wanted) if wanted.isascii() and wanted.isdigit() else 0
    return number if number <= maximum else 0


def _is_header(names: list[str]) -> bool:
    return not any(_is_value(name.strip()) for name in names)


def _is_value(text: str) -> bool:
    if text.lower() in MISSING_VALUES:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
