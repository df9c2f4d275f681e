"""Header of a CSV file: the start of the data, and the indices of columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mpiapps.fileops.csv_start import (
    COMMENT,
    check_text,
    first_records,
    is_skipped,
    split_fields,
)
from mpiapps.fileops.decompression import compression_suffix
from mpiapps.fileops.reading import MAX_RECORD_BYTES
from mpiapps.kernels.records import Dialect

MISSING_VALUES = frozenset({"na", "n/a", "nan", "null", "none", "-", "?"})
MAX_LISTED_COLUMNS = 20  # in an error
NO_RECORD = "the file is empty, or has only comments and blank lines"


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
        If a column is missing, or several have its name; if the header is not UTF-8,
        and a column may be missing for that reason.
    """
    start, names, first = 0, list[str](), b""
    comment: tuple[list[str], int] | None = None  # the last one that has the columns
    for record in first_records(blocks, dialect):
        if not is_skipped(record, dialect):
            names, first = split_fields(record, dialect), record
            break
        start += len(record)
        if record.startswith(COMMENT):
            fields = split_fields(record, dialect)
            if _has_columns(wanted, fields, header):
                comment = fields, start
    is_comment = comment is not None and not _has_columns(wanted, names, header)
    if comment and is_comment:
        names, start = comment
    is_name = [_is_name(name, names, header) for name in wanted]
    if not is_comment:
        if header != "no" and _needs_text(names, wanted, is_name):
            check_text(first, start)
        if any(is_name) or _is_header(names, header):
            start += len(first)
    return ColumnPositions(tuple(_indices(names, wanted, is_name)), start)


def _needs_text(names: list[str], wanted: Sequence[str], is_name: list[bool]) -> bool:
    """Return whether columns may be missing since the header is not UTF-8.

    Encodings but UTF-16 have ASCII names as they are. If none is wanted, no file has
    a header that could be read.
    """
    is_utf_16 = any("\0" in name for name in names)
    missing = [
        name
        for name, named in zip(wanted, is_name, strict=True)
        if not (named or _number(name, len(names) or MAX_RECORD_BYTES))
    ]
    return not wanted or any(is_utf_16 or not name.isascii() for name in missing)


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


def _has_columns(wanted: Sequence[str], names: list[str], header: str) -> bool:
    """Return whether a header has all columns, at least one of them by its name."""
    is_name = [_is_name(name, names, header) for name in wanted]
    numbered = (_number(name, len(names)) for name in wanted)
    has = (named or number for named, number in zip(is_name, numbered, strict=True))
    return any(is_name) and all(has)


def _at(wanted: str, names: list[str]) -> int:
    number = _number(wanted, len(names) or MAX_RECORD_BYTES)
    if not number:
        raise ValueError(_no_column(wanted, names))
    return number - 1


def _no_column(name: str, names: list[str]) -> str:
    if not names:
        return f"no column {name}; {NO_RECORD}"
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
    """Return the names of all columns, or their numbers if there is no header.

    Raises
    ------
    ValueError
        If the header is not UTF-8.
    """
    start = 0
    for record in first_records(blocks, dialect):
        if not is_skipped(record, dialect):
            names = split_fields(record, dialect)
            if not _is_header(names, header):
                return [str(n + 1) for n in range(len(names))]
            check_text(record, start)
            return names
        start += len(record)
    return []


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
