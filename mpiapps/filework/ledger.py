"""What was done with files, a journal for each rank: no message records it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mpiapps.base.errors import InputError
from mpiapps.farming.journal import Journal, read
from mpiapps.filework.segments import Segment


class Ledger:
    """The journal of one rank, or none. Local.

    Parameters
    ----------
    directory : str
        Where it lies; empty for none.
    header : dict
        What it is of.
    rank : int
    """

    def __init__(self, directory: str, header: dict[str, Any], rank: int) -> None:
        path = Path(directory) / f"journal.{rank}"
        self._journal = Journal(path, header) if directory else None

    @staticmethod
    def past(folder: Path, header: dict[str, Any]) -> dict[tuple[Any, ...], Any]:
        """Return the results in all journals of a folder. Local.

        By name, size, time of change and first byte.

        Raises
        ------
        InputError
            If they are of something else, or damaged.
        """
        found = {}
        for path in folder.glob("journal.*"):
            content = read(path)
            there = {k: v for k, v in content.header.items() if k != "format"}
            if content.header and there != header:
                raise InputError(
                    f"{path} is of {there}, not of {header}; name another directory, or"
                    " remove it to begin anew"
                )
            for each in content.records:
                key = each["name"], each["size"], each["time"], each["start"]
                found[key] = each["value"]
        return found

    @property
    def stops(self) -> bool:
        """Whether the work may stop early: what is done is recorded."""
        return self._journal is not None

    def add(self, segment: Segment, time: int, value: Any) -> None:
        """Record the result of a segment of a file last changed at `time`, ns."""
        if self._journal is None:
            return
        self._journal.add(
            {
                "name": segment.name,
                "size": segment.size,
                "time": time,
                "start": segment.start,
                "value": value,
            }
        )
        self._journal.due()

    def sync(self) -> None:
        """Bring all records to the disk."""
        if self._journal is not None:
            self._journal.sync()

    def __enter__(self) -> Ledger:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()
