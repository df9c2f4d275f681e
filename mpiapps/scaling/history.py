"""The directory of a study: its lock, its journal, and the series of its measurements.

A series is what was measured of one commit on one type of host.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mpiapps
from mpiapps.app.provenance import CommitQuery, cpu
from mpiapps.base.errors import UsageError, os_errors
from mpiapps.base.threads import usable_cores
from mpiapps.scaling.measurement import Measurement
from mpiapps.scaling.study import Study
from mpiapps.storage.directory_lock import DirectoryLock
from mpiapps.storage.journal import Journal, Record

JOURNAL = "journal"
RUNS = "runs"


def series_of_this_host(study: Study) -> str:
    """Return the series of measurements made here and now."""
    place = "in virtual time" if study.virtual else f"on {host_type()}"
    return f"{version_of(study)} {place}"


def version_of(study: Study) -> str:
    """Return the commit of what is measured.

    It is that of the script's directory, or of this package's checkout, or else the
    package's version.
    """
    own = study.program.endswith(".py") or not study.is_python
    directory = Path(study.program).resolve().parent if own else _checkout()
    version = CommitQuery(directory).result() or f"mpiapps {mpiapps.__version__}"
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{28}\b", r"\1", version)


def _checkout() -> Path:
    return Path(mpiapps.__file__).parents[1]


def host_type() -> str:
    """Return processor and number of usable cores of this host."""
    return f"{usable_cores()} x {cpu() or platform.machine()}"


class History:
    """The measurements of a study, on disk.

    Attributes
    ----------
    measurements : list of Measurement
        Of all series, in the order of measuring.
    runs : Path
        Directory for output and records of runs.
    """

    def __init__(self, journal: Journal, records: list[Record], runs: Path) -> None:
        """Read the measurements of a journal."""
        self._journal = journal
        self.measurements = [Measurement.from_json(record) for record in records]
        self.runs = runs

    def add(self, measurement: Measurement) -> None:
        """Record a measurement; it is on disk when this returns."""
        self._journal.add(measurement.as_json())
        self._journal.sync()
        self.measurements.append(measurement)

    def of(self, series: str) -> list[Measurement]:
        """Return the measurements of a series."""
        return [m for m in self.measurements if m.series == series]

    @property
    def series(self) -> list[str]:
        """The names of the series, the oldest first."""
        return list(dict.fromkeys(m.series for m in self.measurements))


@contextmanager
def opened(
    directory: Path, study: Study, series: str, append: bool
) -> Iterator[History]:
    """Yield the history of a study, locked.

    Raises
    ------
    UsageError
        If it has measurements of other series only, and `append` is false.
    InputError
        If the directory is that of another study.
    LaunchError
        If another process has it.
    """
    with os_errors(directory, "make"):
        (directory / RUNS).mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    with (
        DirectoryLock(directory / "owner"),
        Journal(directory / JOURNAL, study.identity, records.append) as journal,
    ):
        history = History(journal, records, directory / RUNS)
        if history.series and series not in history.series and not append:
            raise UsageError(
                f"{directory} has measurements of {history.series[-1]!r}, and this is"
                f" {series!r}; --append measures again and keeps both, or --directory"
                " names another directory"
            )
        yield history
