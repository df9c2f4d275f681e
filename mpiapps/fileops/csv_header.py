"""Header of a CSV file: the start of the data, and the index of a column."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
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


class ColumnPosition(NamedTuple):
    """The result of `find_column`.

    Attributes
    ----------
    column : int
        Index of the column, from 0.
    start : int
        Offset of the first byte of the data.
    """

    column: int
    start: int


def find_column(
    blocks: Iterable[np.ndarray], wanted: str, dialect: Dialect, header: str
) -> ColumnPosition:
    """Return the index of a column and the start of the data.

    Blank lines and lines that begin with ``#`` before the header are skipped.

    Parameters
    ----------
    blocks : iterable of ndarray of uint8
        The file from its start.
    wanted : str
        A name in the header, or the number of the column from 1. If it could be
        either, it is a name with ``header="yes"``, else a number.
    dialect : Dialect
    header : {"auto", "yes", "no"}
        ``auto``: the first record is a header if it contains the name or, if `wanted`
        is a number, if none of its fields is a number or a missing value.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    start = 0
    names: list[str] = []
    for record in _records(blocks, dialect):
        names = _fields(record, dialect)
        number = _number(wanted, len(names))
        if wanted in names and (header == "yes" or (header == "auto" and not number)):
            return ColumnPosition(names.index(wanted), start + len(record))
        if record.strip() and not record.startswith(COMMENT):
            is_header = {"yes": True, "no": False}.get(header, _is_header(names))
            if number:
                return ColumnPosition(number - 1, start + is_header * len(record))
            break
        start += len(record)
    else:  # the file has no data
        if number := _number(wanted, MAX_RECORD_BYTES):
            return ColumnPosition(number - 1, start)
    known = ", ".join(names[:MAX_LISTED_COLUMNS])
    raise ValueError(f"no column {wanted}; the first record is {known}")


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
