"""Where the data of a CSV file begin, and which column is wanted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mpiapps.filework.reading import LONGEST
from mpiapps.kernels.records import RECORD, Form, end_of_record

MISSING = frozenset({"na", "n/a", "nan", "null", "none", "-", "?"})  # a value's place
COMMENT = b"#"
NAMED = 20  # columns that are named in an error


@dataclass(frozen=True)
class Style:
    """How CSV files are written.

    Attributes
    ----------
    delimiter : str
        One character of ASCII; empty: a tab for ``.tsv``, else a comma.
    quote : str
        One character of ASCII; empty for none.
    header : {"auto", "yes", "no"}
        Whether the first record has names.
    """

    delimiter: str = ""
    quote: str = '"'
    header: str = "auto"

    def form(self, name: str) -> Form:
        """Return how the records of a file are written."""
        delimiter = self.delimiter or ("\t" if ".tsv" in name.lower() else ",")
        return Form(ord(delimiter), ord(self.quote) if self.quote else -1)


class Layout(NamedTuple):
    """What `layout` found.

    Attributes
    ----------
    column : int
        The number of the column, from 0.
    start : int
        The first byte of the data.
    """

    column: int
    start: int


def layout(
    blocks: Iterable[np.ndarray], wanted: str, form: Form, header: str
) -> Layout:
    """Return where a column's numbers are. Local.

    Blank lines and those that begin with ``#`` are passed over before the header.

    Parameters
    ----------
    blocks : iterable of ndarray of uint8
        The file from its start.
    wanted : str
        A name in the header, or the number of the column from 1. Where it could be
        both, it is the name with ``header="yes"``, else the number.
    form : Form
    header : {"auto", "yes", "no"}
        ``auto``: the first record is a header if it has the name, or, for a number,
        if no field of it is a number or says that there is none.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    start = 0
    names: list[str] = []
    for record in _records(blocks, form):
        names = _fields(record, form)
        number = _number(wanted, len(names))
        if wanted in names and (header == "yes" or (header == "auto" and not number)):
            return Layout(names.index(wanted), start + len(record))
        if record.strip() and not record.startswith(COMMENT):
            titled = {"yes": True, "no": False}.get(header, _is_header(names))
            if number:
                return Layout(number - 1, start + titled * len(record))
            break
        start += len(record)
    else:  # there are no data
        if number := _number(wanted, LONGEST):
            return Layout(number - 1, start)
    known = ", ".join(names[:NAMED])
    raise ValueError(f"no column {wanted}; the first record is {known}")


def _records(blocks: Iterable[np.ndarray], form: Form) -> Iterator[bytes]:
    """Yield the first records with their ends, the last one maybe without."""
    parts: list[bytes] = []
    held, where, quote = 0, RECORD, form.quote
    for block in blocks:
        begin = 0
        while begin < len(block):
            if where == RECORD and not parts:
                comment = block[begin] == COMMENT[0]
                quote = -1 if comment else form.quote
            rest = block[begin:]
            end, where = end_of_record(rest, where, form.delimiter, quote)
            parts.append(rest[: end if end > 0 else len(rest)].tobytes())
            held += len(parts[-1])
            if held > LONGEST:
                raise ValueError(
                    f"the first record is longer than {LONGEST} bytes; is a quote open?"
                )
            begin += len(parts[-1])
            if end > 0:
                yield b"".join(parts)
                parts, held = [], 0
    if parts:
        yield b"".join(parts)


def _fields(record: bytes, form: Form) -> list[str]:
    text = record.decode("utf-8-sig", "replace")
    if form.quote < 0:
        return text.rstrip("\r\n").split(chr(form.delimiter))
    limit = csv.field_size_limit(LONGEST)
    try:
        stream = io.StringIO(text, newline="")
        rows = csv.reader(
            stream, delimiter=chr(form.delimiter), quotechar=chr(form.quote)
        )
        return next(rows, [])
    finally:
        csv.field_size_limit(limit)


def _number(wanted: str, most: int) -> int:
    """Return the number of a column up to `most`, or 0."""
    number = int(wanted) if wanted.isascii() and wanted.isdigit() else 0
    return number if number <= most else 0


def _is_header(names: list[str]) -> bool:
    return not any(_is_value(name.strip()) for name in names)


def _is_value(text: str) -> bool:
    if text.lower() in MISSING:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
