"""What ranks have done, in a directory that run after run goes on with.

Each rank of each run writes a journal of a name that no other process has: ranks that
outlive a killed launcher, on whatever host, write beside their successors and never
into their journals. A line that is damaged costs itself alone, as what it recorded is
done again.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from mpiapps.base.errors import InputError
from mpiapps.farming.journal import Journal, Record, salvage

NAME = "journal.{rank}.{unique}"
PATTERN = "journal.*"

log = logging.getLogger(__name__)


class RankJournal:
    """The journal of this rank and run, begun with its first record. Local.

    Parameters
    ----------
    directory : str
        Where it lies; empty: nothing is recorded.
    header : mapping
        What the records are of.
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
        """Record something; bring it to the disk soon."""
        if not self.records:
            return
        if self._journal is None:
            self._journal = Journal(self._path, self._header)
        self._journal.add(record)
        self._journal.due()

    def sync(self) -> None:
        """Bring all records to the disk."""
        if self._journal is not None:
            self._journal.sync()

    def __enter__(self) -> RankJournal:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.__exit__(kind, error, trace)


def recorded(directory: Path, header: Record, of: str = "") -> Iterator[Record]:
    """Yield the records of all journals in `directory`. Local.

    Parameters
    ----------
    directory : Path
    header : mapping
        What the records must be of.
    of : str
        What they are of if they are not, for the error; by default their header.

    Raises
    ------
    InputError
        If a journal has another header.
    ReadWriteError
        If one cannot be read.
    """
    for path in sorted(directory.glob(PATTERN)):
        content = salvage(path)
        there = {k: v for k, v in content.header.items() if k != "format"}
        if there and there != header:
            raise InputError(
                f"{path} is of {of or f'{there}, not of {header}'}; name another"
                " directory, or remove it to begin anew"
            )
        if content.damaged:
            log.warning(
                "%s is damaged in %s; what was recorded there is done again",
                path,
                "all lines" if not there else f"lines {content.damaged}",
            )
        yield from content.records
