"""What the task engine reads of earlier runs, and records. Starts no MPI."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mpiapps.storage.rank_journal import RankJournal, recorded
from mpiapps.tasks.task_set import TaskFailure, Unfinished

if TYPE_CHECKING:
    from mpiapps.comm.world import World


class OpenJournal(AbstractContextManager[Any], Protocol):
    """A journal that is open on this rank."""

    def recorded(self) -> Mapping[Any, Any]:
        """Return the results of earlier runs, by the keys of tasks. Root only."""

    def add(self, key: Any, value: Any) -> None:
        """Record what an attempt of a task has yielded."""

    def sync_if_due(self) -> object:
        """Flush records that have waited for some time."""

    def sync(self) -> None:
        """Flush all records to disk."""


@dataclass
class TaskJournal:
    """Where results are recorded: a journal per rank and run.

    Attributes
    ----------
    directory : str
        Of the journals; empty for none: then the run cannot stop early.
    header : mapping
        What the results depend on, besides the keys of tasks.
    depends_on : str
        The same in words, for the error of a directory of other results.
    force_unlock : bool
        Whether to take the directory from a run on another host.
    """

    directory: str = ""
    header: Mapping[str, Any] = field(default_factory=dict)
    depends_on: str = ""
    force_unlock: bool = False

    def open(self, world: World) -> OpenJournal:
        """Return the open journal of this rank. Collective; the root reads.

        Raises
        ------
        InputError
            On the root, if the directory has results of other work.
        """
        return _RankRecords(self, world.rank)


class _RankRecords:
    """The results that this rank records; failures are not, so they are done again."""

    def __init__(self, journal: TaskJournal, rank: int) -> None:
        self._journal = journal
        self._file = RankJournal(journal.directory, journal.header, rank)
        self.sync, self.sync_if_due = self._file.sync, self._file.sync_if_due

    def recorded(self) -> Mapping[Any, Any]:
        journal = self._journal
        if not journal.directory:
            return {}
        directory = Path(journal.directory)
        records = recorded(directory, journal.header, journal.depends_on)
        return {hashable(record["key"]): record["value"] for record in records}

    def add(self, key: Any, value: Any) -> None:
        if not isinstance(value, TaskFailure | Unfinished):
            self._file.add({"key": key, "value": value})

    def __enter__(self) -> _RankRecords:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._file.__exit__(*exc)


def hashable(key: Any) -> Any:
    """Return a key as it can be one of a dict: JSON has lists for tuples."""
    return tuple(key) if isinstance(key, list) else key
