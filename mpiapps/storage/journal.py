"""Append-only journal: one JSON record per line, safe against kills.

The first line is a header that identifies the content. Each line ends with a checksum,
which distinguishes an incomplete write from later damage: a last line without a line
feed was never synced, and is truncated; any other mismatch is an error with the number
of the line.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from mpiapps.base.errors import FileAccessError, InputError, os_errors
from mpiapps.base.streams import abbreviated
from mpiapps.storage.replace_file import fsync_directory

FORMAT = 1
SYNC_SECONDS, SYNC_RECORDS = 0.5, 64  # `sync_if_due` syncs after either
Record = Mapping[str, Any]


@dataclass(frozen=True)
class JournalContent:
    """JournalContent of a journal.

    Attributes
    ----------
    header : mapping
        The first line.
    records : list of mapping
        The lines after it, in the order of writing.
    complete : int
        Bytes of the complete lines.
    torn : int
        Bytes of an incomplete line at the end.
    damaged : list of int
        Numbers, from 1, of the lines with a wrong checksum, which are not in `records`.
    """

    header: Record
    records: list[Record]
    complete: int
    torn: int
    damaged: list[int] = field(default_factory=list)


def read(path: Path) -> JournalContent:
    """Return the content of the journal `path`, with its records; see `scan`."""
    records: list[Record] = []
    return replace(scan(path, records.append), records=records)


def scan(path: Path, callback: Callable[[Record], object]) -> JournalContent:
    """Pass each record of the journal `path` to `callback`; return the rest of it.

    Raises
    ------
    FileAccessError
        If it cannot be read.
    InputError
        If it is not a journal of this format, or a line is damaged.
    """
    content = _scan(path, callback)
    if content.damaged:
        raise InputError(
            f"{path} is damaged in line {content.damaged[0]}: wrong checksum; keep the"
            " lines before it with `head`, and the rest is done again"
        )
    return content


def salvage(path: Path) -> JournalContent:
    """Return the undamaged content of the journal `path`.

    For records that do not depend on each other. If the first line is damaged, the
    records cannot be identified, and none are returned.

    Raises
    ------
    FileAccessError
        If it cannot be read.
    InputError
        If it is a journal of another format.
    """
    records: list[Record] = []
    content = _scan(path, records.append)
    return replace(content, records=records if content.header else [])


def _scan(path: Path, callback: Callable[[Record], object]) -> JournalContent:
    """Pass each undamaged record to `callback`; return the rest of the content."""
    header, complete, torn, damaged = dict[str, Any](), 0, 0, list[int]()
    with os_errors(path, "read"), path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                torn = len(line)
                break
            record = _parse(line)
            complete += len(line)
            if record is None:
                damaged.append(number)
            elif number > 1:
                callback(record)
            elif record.get("format") == FORMAT:
                header = record
            else:
                raise InputError(
                    f"{path} has format {record.get('format')}; this version reads"
                    f" format {FORMAT}"
                )
    return JournalContent(header, [], complete, torn, damaged)


class Journal:
    """A journal open for appending, by one process.

    Parameters
    ----------
    path : Path
        Created if it does not exist; else an incomplete last line is truncated.
    header : mapping
        Identifies the content. An existing journal must have the same.
    callback : callable, optional
        Receives each existing record.

    Raises
    ------
    InputError
        If an existing journal is damaged, or has another header.
    FileAccessError
        If it cannot be written.

    Notes
    -----
    Records are durable once `sync` returns, or `sync_if_due` returns true. A failed
    write leaves the file unchanged: the next one starts at the same offset.
    """

    def __init__(
        self,
        path: Path,
        header: Record,
        callback: Callable[[Record], object] = lambda _: None,
    ) -> None:
        self.path = path
        self._end = 0
        header = {"format": FORMAT, **header}
        if path.exists():
            content = scan(path, callback)
            self._end = content.complete
            if content.header and dict(content.header) != header:
                raise InputError(
                    f"{path} is the journal of another run:"
                    f" {differences(content.header, header)}; give another directory,"
                    " or remove it to start again"
                )
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            os.ftruncate(self._file, self._end)
        except OSError as error:
            raise self._write_error(error) from error
        self._pending, self._since = 0, time.monotonic()
        if not self._end:
            self.add(header)
            self.sync()
            fsync_directory(self.path.parent)  # the directory entry

    def sync_if_due(self) -> bool:
        """Sync if records are pending for long, or many; return whether none is."""
        waited = time.monotonic() - self._since
        if self._pending and (self._pending >= SYNC_RECORDS or waited >= SYNC_SECONDS):
            self.sync()
        return not self._pending

    def sync(self) -> None:
        """Flush all records to disk (fdatasync)."""
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise self._write_error(error) from error
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
        """Sync and close; after a failed write, only close."""
        if isinstance(error, FileAccessError):
            os.close(self._file)
        else:
            self.close()

    def add(self, record: Record) -> None:
        """Append a record; it is durable after `sync`."""
        line = _line(record)
        if not self._pending:
            self._since = time.monotonic()
        try:
            done = 0
            while done < len(line):
                done += os.pwrite(self._file, line[done:], self._end + done)
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise self._write_error(error) from error
        self._end += len(line)
        self._pending += 1

    def _write_error(self, error: OSError) -> FileAccessError:
        return FileAccessError(
            f"cannot write {self.path}: {error.strerror}; its content is intact: run"
            " the same command to resume"
        )


def differences(there: Record, here: Record) -> str:
    """Return what differs between two headers: ``encoding: utf-8 there, bytes here``.

    Mappings in them are compared item by item.
    """
    return "; ".join(_differences("", there, here))


def _differences(name: str, there: Any, here: Any) -> Iterator[str]:
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in dict.fromkeys((*there, *here)):
            yield from _differences(
                key, there.get(key, "absent"), here.get(key, "absent")
            )
    elif there != here:
        yield f"{name}: {_short(there)} there, {_short(here)} here"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value, default=str)
    return abbreviated(text)


def _line(record: Record) -> bytes:
    text = json.dumps(record, ensure_ascii=True, allow_nan=False, sort_keys=True)
    return f"{text} {zlib.crc32(text.encode()):08x}\n".encode()


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return the record of a line, or `None` if its checksum is wrong."""
    text = line[:-10]  # followed by a space, eight digits and a line feed
    try:
        if line[-10:] != b" %08x\n" % zlib.crc32(text):
            return None
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
