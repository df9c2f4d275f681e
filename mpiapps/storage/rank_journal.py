"""Records of ranks in a directory that several runs share.

Each rank of each run writes a journal with a unique name: ranks that survive a killed
launcher never write into the journals of the next run. A damaged line costs only
itself, since the work that it recorded is done again.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mpiapps.base.errors import InputError
from mpiapps.storage.journal import Journal, Record, differences, salvage

NAME = "journal.{rank}.{unique}"
PATTERN = "journal.*"

log = logging.getLogger(__name__)


class RankJournal:
    """The journal of this rank and run, created with its first record.

    Parameters
    ----------
    directory : str
        Its directory; empty: nothing is recorded.
    header : mapping
        Identifies the content.
    rank : int

    Attributes
    ----------
    records : bool
        Whether there is a directory.
    """

    def __init__(self, directory: str, header: Record, rank: int) -> None:
        self._path = Path(
            directory, NAME.format(rank=rank, unique=secrets.token_hex(4))
        )
        self._header = header
        self._journal: Journal | None = None
        self.records = bool(directory)

    def add(self, record: Record) -> None:
        """Append a record, which is durable soon, or after `sync`."""
        if not self.records:
            return
        if self._journal is None:
            self._journal = Journal(self._path, self._header)
        self._journal.add(record)
        self._journal.sync_if_due()

    def sync_if_due(self) -> None:
        """Flush records that have waited for some time."""
        if self._journal is not None:
            self._journal.sync_if_due()

    def sync(self) -> None:
        """Flush all records to disk."""
        if self._journal is not None:
            self._journal.sync()

    def __enter__(self) -> RankJournal:
        """Return itself."""
        return self

    def __exit__(self, *exc: Any) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.__exit__(*exc)


def recorded(directory: Path, header: Record, other: str = "") -> Iterator[Record]:
    """Yield the records of all journals in `directory`.

    Parameters
    ----------
    directory : Path
    header : mapping
        The header that the journals must have.
    other : str
        What a journal with another header is of, for the error (default: what differs).

    Raises
    ------
    InputError
        If a journal has another header.
    FileAccessError
        If one cannot be read.
    """
    for path in sorted(directory.glob(PATTERN)):
        content = salvage(path)
        identity = {k: v for k, v in content.header.items() if k != "format"}
        if identity and identity != header:
            kind = other or f"another run: {differences(identity, header)}"
            raise InputError(
                f"{path} is of {kind}; give another directory, or remove it to start"
                " again"
            )
        if content.damaged:
            log.warning(
                "%s is damaged in %s; the work recorded there is done again",
                path,
                f"lines {content.damaged}" if identity else "all lines",
            )
        yield from content.records
