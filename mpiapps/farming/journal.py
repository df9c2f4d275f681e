"""A journal: one line for each thing that happened, which no kill can take back.

The first line says what it is the journal of. Each line ends with a checksum, so that
what was torn off by a kill is told from what a disk has changed: a last line without
its end was never promised to anyone, and is cut off; any other that does not fit stops
the reader with its number.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from mpiapps.base.errors import InputError, ReadWriteError, naming

FORMAT = 1
EVERY, MANY = 0.5, 64  # s and lines after which what was written is brought to the disk
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Content:
    """What a journal holds.

    Attributes
    ----------
    header : mapping
        What it was begun with.
    records : list of mapping
        The lines after it, in the order in which they were written.
    whole : int
        Bytes that hold them; what is behind was torn off.
    torn : int
        Bytes behind them.
    damaged : list of int
        Numbers, from 1, of the lines whose checksum does not fit: left out.
    """

    header: Record
    records: list[Record]
    whole: int
    torn: int
    damaged: list[int] = field(default_factory=list)


def read(path: Path) -> Content:
    """Return what the journal `path` holds, all at once. Local; see `scan`."""
    records: list[Record] = []
    return replace(scan(path, records.append), records=records)


def scan(path: Path, take: Callable[[Record], object]) -> Content:
    """Pass each record of the journal `path` to `take`; return all but them. Local.

    Raises
    ------
    ReadWriteError
        If it cannot be read.
    InputError
        If it is no journal of this format, or a line in it was changed.
    """
    content = _scan(path, take)
    if content.damaged:
        raise InputError(
            f"{path} is damaged in line {content.damaged[0]}: its checksum does not"
            " fit; what is before it can be kept with `head`, and the rest is done"
            " again"
        )
    return content


def salvage(path: Path) -> Content:
    """Return what the good lines of the journal `path` hold. Local.

    For records that do without each other. Where the first line is damaged it is not
    known what the others are of: there are no records then.

    Raises
    ------
    ReadWriteError
        If it cannot be read.
    InputError
        If it is a journal of another format.
    """
    records: list[Record] = []
    content = _scan(path, records.append)
    return replace(content, records=records if content.header else [])


def _scan(path: Path, take: Callable[[Record], object]) -> Content:
    """Pass each good record to `take`; return the header and what is damaged."""
    header, whole, torn, damaged = dict[str, Any](), 0, 0, list[int]()
    with naming(path, "read"), path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                torn = len(line)
                break
            record = _checked(line)
            whole += len(line)
            if record is None:
                damaged.append(number)
            elif number > 1:
                take(record)
            elif record.get("format") == FORMAT:
                header = record
            else:
                raise InputError(
                    f"{path} has format {record.get('format')}, and this version reads"
                    f" {FORMAT}"
                )
    return Content(header, [], whole, torn, damaged)


class Journal:
    """A journal to write to, by one process. Local.

    Parameters
    ----------
    path : Path
        Made if it is not there; else gone on with, after what was torn off is cut off.
    header : mapping
        What it is the journal of. One that is there must have the same.
    take : callable, optional
        Gets each record that is there.

    Raises
    ------
    InputError
        If one is there that is damaged, or of something else.
    ReadWriteError
        If it cannot be written.

    Notes
    -----
    What `add` was given is promised when `sync` returns, or by `due`. A write that
    fails leaves the file as it was: the next one begins at the same place.
    """

    def __init__(
        self,
        path: Path,
        header: Record,
        take: Callable[[Record], object] = lambda _: None,
    ) -> None:
        self.path = path
        whole = 0
        header = {"format": FORMAT, **header}
        if path.exists():
            content = scan(path, take)
            whole = content.whole
            if content.header and dict(content.header) != header:
                raise InputError(
                    f"{path} is the journal of {dict(content.header)}, not of {header};"
                    " name another directory, or remove it to begin anew"
                )
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            os.ftruncate(self._file, whole)
            self._end = os.lseek(self._file, whole, os.SEEK_SET)
        except OSError as error:
            raise self._refusal(error) from error
        self._pending, self._since = 0, time.monotonic()
        if not whole:
            self._append(header)
            self.sync()
            self._sync_folder()

    def add(self, record: Record) -> None:
        """Write one line; it is promised after `sync`."""
        self._append(record)

    def due(self) -> bool:
        """Sync if lines wait for long, or many; return whether all are promised."""
        waited = time.monotonic() - self._since
        if self._pending and (self._pending >= MANY or waited >= EVERY):
            self.sync()
        return not self._pending

    def sync(self) -> None:
        """Bring all lines to the disk."""
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise self._refusal(error) from error
        self._pending = 0

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._file)

    def __enter__(self) -> Journal:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Sync and close; after an error the lines are there, whoever promises them."""
        if isinstance(error, ReadWriteError):
            os.close(self._file)
        else:
            self.close()

    def _append(self, record: Record) -> None:
        line = _line(record)
        if not self._pending:
            self._since = time.monotonic()
        try:
            done = 0
            while done < len(line):
                done += os.pwrite(self._file, line[done:], self._end + done)
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise self._refusal(error) from error
        self._end += len(line)
        self._pending += 1

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name, too, outlives a power cut
        finally:
            os.close(folder)

    def _refusal(self, error: OSError) -> ReadWriteError:
        return ReadWriteError(
            f"cannot write {self.path}: {error.strerror}; what is in it is good, and"
            " the same command goes on from there"
        )


def _line(record: Record) -> bytes:
    text = json.dumps(record, ensure_ascii=True, allow_nan=False, sort_keys=True)
    return f"{text} {zlib.crc32(text.encode()):08x}\n".encode()


def _checked(line: bytes) -> dict[str, Any] | None:
    """Return what a line holds, or `None` if its checksum does not fit."""
    text = line[:-10]  # the rest is a blank, eight digits and the end
    try:
        if line[-10:] != b" %08x\n" % zlib.crc32(text):
            return None
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
