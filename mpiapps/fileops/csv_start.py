"""The records at the start of a CSV file: comments, and the header or the first data.

They are read as bytes; a header whose names are needed must be UTF-8.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from mpiapps.fileops.reading import MAX_RECORD_BYTES
from mpiapps.kernels.records import NEWLINE, RECORD, RETURN, Dialect, find_record_end

COMMENT = b"#"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")  # the first one also begins UTF-32
BLANKS = b" \t\n\v\f\r"
MAX_SHOWN_BYTES = 60  # in an error
FROM_UTF_16, FROM_LATIN_1 = "iconv -f UTF-16 -t UTF-8", "iconv -f LATIN1 -t UTF-8"


def first_records(blocks: Iterable[np.ndarray], dialect: Dialect) -> Iterator[bytes]:
    """Yield the byte order mark, if there is one, and the records with their ends.

    The last record may have no end.

    Raises
    ------
    ValueError
        If a record is too long, a line ends with a carriage return alone, or the file
        begins as UTF-16.
    """
    blocks = iter(blocks)
    first = _first_bytes(blocks)
    if first.startswith(UTF_16_MARKS):
        mark = first[:2].hex(" ")
        raise ValueError(
            f"the file begins with {mark}, the byte order mark of UTF-16, and CSV must"
            f" be UTF-8; convert it, as by {FROM_UTF_16}"
        )
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
        ends_line = state == RECORD and last.endswith(b"\r")
        if b"\r" in last if is_comment else ends_line:
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
    remedy = r"lines must end with LF or CR LF, as after tr '\r' '\n'"
    if b"\0" in lines:
        remedy = f"convert it if it is UTF-16, as by {FROM_UTF_16}"
    return f"a line ends with CR alone: {begin!r}; {remedy}"


def is_skipped(record: bytes, dialect: Dialect) -> bool:
    """Return whether what precedes the header is a mark, a comment or a blank line."""
    blanks = BLANKS.replace(bytes([dialect.delimiter]), b"")
    is_mark = record == BYTE_ORDER_MARK
    return is_mark or record.startswith(COMMENT) or not record.strip(blanks)


def split_fields(record: bytes, dialect: Dialect) -> list[str]:
    """Return the fields of a record; those of different bytes differ."""
    text = record.decode(errors="backslashreplace")
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


def check_text(header: bytes, start: int) -> None:
    """Raise `ValueError` if a header is not UTF-8, or has zero bytes, as of UTF-16.

    `start`: its offset in the file.
    """
    at, remedy = header.find(b"\0"), f"{FROM_UTF_16} if it is UTF-16"
    if at < 0:
        try:
            header.decode()
        except UnicodeDecodeError as error:
            at = error.start
            remedy = f"{FROM_LATIN_1} if it is Latin-1, or give the columns' numbers"
    if at >= 0:
        raise ValueError(
            f"the header is not UTF-8: byte {start + at} is 0x{header[at]:02x}; convert"
            f" the file, as by {remedy}"
        )
