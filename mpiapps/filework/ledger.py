"""What was done with files, a journal for each rank: no message records it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mpiapps.farming.rank_journal import RankJournal, recorded
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
        self._journal = RankJournal(directory, header, rank)

    @staticmethod
    def past(folder: Path, header: dict[str, Any]) -> dict[tuple[Any, ...], Any]:
        """Return the results in all journals of a folder. Local.

        By name, size, time of change and first byte.

        Raises
        ------
        InputError
            If they are of something else.
        """
        return {
            (each["name"], each["size"], each["time"], each["start"]): each["value"]
            for each in recorded(folder, header)
        }

    @property
    def stops(self) -> bool:
        """Whether the work may stop early: what is done is recorded."""
        return self._journal.records

    def add(self, segment: Segment, time: int, value: Any) -> None:
        """Record the result of a segment of a file last changed at `time`, ns."""
        self._journal.add(
            {
                "name": segment.name,
                "size": segment.size,
                "time": time,
                "start": segment.start,
                "value": value,
            }
        )

    def sync(self) -> None:
        """Bring all records to the disk."""
        self._journal.sync()

    def __enter__(self) -> Ledger:
        """Return itself."""
        return self

    def __exit__(self, *exc: Any) -> None:
        """Close the journal."""
        self._journal.__exit__(*exc)
