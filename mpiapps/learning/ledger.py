"""What was fitted, in a journal for each rank: no message records it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from mpiapps.base import stopping
from mpiapps.farming.rank_journal import RankJournal, recorded
from mpiapps.learning.case import Case, Fit

OTHER = "other data, another estimator, scoring, seed or other folds"


class Ledger:
    """The fits of one rank, and its journal, if there is a folder for it. Local.

    Attributes
    ----------
    fits : list of Fit
        Of this run.
    """

    def __init__(self, directory: str, case: Case, rank: int) -> None:
        self.fits: list[Fit] = []
        self._case = case
        self._journal = RankJournal(directory, _header(case) if directory else {}, rank)

    def stop(self) -> bool:
        """Return whether to begin no more: what is done is recorded. Local."""
        return self._journal.records and stopping.left() <= 0

    def add(self, fit: Fit) -> None:
        """Keep and record a fit."""
        self.fits.append(fit)
        self._journal.add({**asdict(fit), "fit": self._case.key(fit.number)})

    def __enter__(self) -> Ledger:
        """Return itself."""
        return self

    def __exit__(self, *exc: Any) -> None:
        """Bring all to the disk."""
        self._journal.__exit__(*exc)


def _header(case: Case) -> dict[str, Any]:
    return {"case": case.digest}


def past(directory: str, case: Case) -> list[Fit]:
    """Return the fits of earlier runs that are of this case and went well. Local.

    Raises
    ------
    InputError
        If the folder is of another case.
    """
    known: dict[str, list[int]] = {}  # a draw may come more than once
    for number in range(len(case)):
        known.setdefault(case.key(number), []).append(number)
    found = {}
    for record in recorded(Path(directory), _header(case), OTHER):
        words = {k: v for k, v in record.items() if k not in {"fit", "number"}}
        for number in known.get(record["fit"], ()) if not record["why"] else ():
            found[number] = Fit(number, **words)
    return list(found.values())
