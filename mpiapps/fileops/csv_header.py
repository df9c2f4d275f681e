"""Header of a CSV file: the start of the data, and the indices of columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np

from mpiapps.fileops.decompression import compression_suffix
from mpiapps.fileops.reading import MAX_RECORD_BYTES
from mpiapps.kernels.records import NEWLINE, RECORD, RETURN, Dialect, find_record_end

MISSING_VALUES = frozenset({"na", "n/a", "nan", "null", "none", "-", "?"})
COMMENT = b"#"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLANKS = b" \t\n\v\f\r"
MAX_LISTED_COLUMNS = 20  # in an error
MAX_SHOWN_BYTES = 60  # in an error


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
        plain = name[: len(name) - len(compression_suffix(name))]
        is_tsv = plain.lower().endswith(".tsv")
        delimiter = self.delimiter or ("\t" if is_tsv else ",")
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

    Blank lines and lines that begin with ``#`` before the header are skipped. But a
    line that begins with ``#`` is the header if it has the names and no header follows.

    Parameters
    ----------
    blocks : iterable of ndarray of uint8
        The file from its start.
    wanted : sequence of str
        Names in the header, or numbers of columns from 1. What could be either is a
        name with ``header="yes"``, else a number. An empty name that is given several
        times stands for all columns without a name, in their order.
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
    comment: tuple[list[str], int] | None = None  # the last one that has the names
    for record in _records(blocks, dialect):
        if not _is_skipped(record, dialect):
            names = _fields(record, dialect)
            length = len(record)
            break
        start += len(record)
        if record.startswith(COMMENT):
            fields = _fields(record, dialect)
            if all(_is_name(name, fields, header) for name in wanted):
                comment = fields, start
    else:
        length = 0  # the file has no data
    is_name = [_is_name(name, names, header) for name in wanted]
    if comment and not all(is_name):
        names, start = comment
        is_name = [True] * len(wanted)
    elif any(is_name) or _is_header(names, header):
        start += length
    return ColumnPositions(tuple(_indices(names, wanted, is_name)), start)


def _indices(
    names: list[str], wanted: Sequence[str], is_name: list[bool]
) -> Iterator[int]:
    """Yield the index of each wanted column, which is named or numbered."""
    unnamed = [index for index, name in enumerate(names) if not name]
    if "" in wanted and len(unnamed) != wanted.count(""):
        raise ValueError(
            f"{len(unnamed)} columns have no name, not {wanted.count('')}; give the"
            " columns' numbers"
        )
    left = iter(unnamed)
    for name, named in zip(wanted, is_name, strict=True):
        if not named:
            yield _at(name, names)
        else:
            yield _index(names, name) if name else next(left)


def _is_name(wanted: str, names: list[str], header: str) -> bool:
    """Return whether a wanted column is named, not numbered, in a header."""
    is_number = header == "auto" and _number(wanted, len(names)) > 0
    return header != "no" and not is_number and wanted in names


def _at(wanted: str, names: list[str]) -> int:
    number = _number(wanted, len(names) or MAX_RECORD_BYTES)
    if not number:
        raise ValueError(_no_column(wanted, names))
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
        if not _is_skipped(record, dialect):
            names = _fields(record, dialect)
            if _is_header(names, header):
                return names
            return [str(n + 1) for n in range(len(names))]
    return []


def _is_skipped(record: bytes, dialect: Dialect) -> bool:
    """Return whether what precedes the header is a mark, a comment or a blank line."""
    blanks = BLANKS.replace(bytes([dialect.delimiter]), b"")
    is_mark = record == BYTE_ORDER_MARK
    return is_mark or record.startswith(COMMENT) or not record.strip(blanks)


def _records(blocks: Iterable[np.ndarray], dialect: Dialect) -> Iterator[bytes]:
    """Yield the byte order mark, if there is one, and the records with their ends.

    The last record may have no end.

    Raises
    ------
    ValueError
        If a record is too long, or a line ends with a carriage return alone.
    """
    blocks = iter(blocks)
    first = _first_bytes(blocks)
    if first.startswith(BYTE_ORDER_MARK):
        yield BYTE_ORDER_MARK
        first = first.removeprefix(BYTE_ORDER_MARK)
    parts: list[bytes] = []
    held, state, is_comment = 0, RECORD, False
    for block in chain([np.frombuffer(bytearray(first), np.uint8)], blocks):
        # A return outside of quotes ends a line, also where no newline follows.
        begin, lines = 0, block.copy()
        lines[lines == RETURN] = NEWLINE
        while begin < len(block):
            if not parts:
                is_comment = block[begin] == COMMENT[0]
            elif state == RECORD and block[begin] not in (RETURN, NEWLINE):
                raise ValueError(_lone_return(b"".join(parts)))
            quote = -1 if is_comment else dialect.quote
            rest = block[begin:] if is_comment else lines[begin:]
            end, state = find_record_end(rest, state, dialect.delimiter, quote)
            parts.append(block[begin:][: end if end > 0 else len(rest)].tobytes())
            held += len(parts[-1])
            if held > MAX_RECORD_BYTES:
                raise ValueError(
                    f"the first record is longer than {MAX_RECORD_BYTES} bytes; is"
                    " a quote not closed?"
                )
            begin += len(parts[-1])
            if end > 0 and parts[-1].endswith(b"\n"):
                yield b"".join(parts)
                parts, held = [], 0
    if last := b"".join(parts):
        if is_comment and b"\r" in last.rstrip(b"\r\n"):
            raise ValueError(_lone_return(last))
        yield last


def _first_bytes(blocks: Iterator[np.ndarray]) -> bytes:
    """Return the first blocks, as many as may have a byte order mark."""
    first = b""
    for block in blocks:
        first += block.tobytes()
        if len(first) >= len(BYTE_ORDER_MARK):
            break
    return first


def _lone_return(lines: bytes) -> str:
    begin = lines[:MAX_SHOWN_BYTES].decode(errors="replace")
    return (
        f"a line ends with CR alone: {begin!r}; lines must end with LF or CR LF, as"
        r" after tr '\r' '\n'"
    )


def _fields(record: bytes, dialect: Dialect) -> list[str]:
    text = record.decode(errors="replace")
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


def _is_header(names: list[str], header: str) -> bool:
    if header != "auto":
        return header == "yes"
    return not any(_is_value(name.strip()) for name in names)


def _is_value(text: str) -> bool:
    if text.lower() in MISSING_VALUES:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
