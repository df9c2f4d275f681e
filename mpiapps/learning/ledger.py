"""What was fitted, in a journal for each rank: no message records it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from mpiapps.base import stopping
from mpiapps.base.errors import InputError
from mpiapps.farming.journal import Journal, read
from mpiapps.learning.case import Case, Fit


class Ledger:
    """The fits of one rank, and its journal, if there is a folder for it. Local.

    Attributes
    ----------
    fits : list of Fit
        Of this run.
    """

    def __init__(self, directory: str, case: Case, rank: int) -> None:
        self.fits: list[Fit] = []
        self._case, self._journal = case, None
        if directory:
            header = {"case": case.digest}
            self._journal = Journal(Path(directory) / f"journal.{rank}", header)

    def stop(self) -> bool:
        """Return whether to begin no more: what is done is recorded. Local."""
        return self._journal is not None and stopping.left() <= 0

    def add(self, fit: Fit) -> None:
        """Keep and record a fit."""
        self.fits.append(fit)
        if self._journal is not None:
            self._journal.add({**asdict(fit), "fit": self._case.key(fit.number)})
            self._journal.due()

    def close(self) -> None:
        """Bring all to the disk."""
        if self._journal is not None:
            self._journal.sync()
            self._journal.close()


def past(directory: str, case: Case) -> list[Fit]:
    """Return the fits of earlier runs that are of this case and went well. Local.

    Raises
    ------
    InputError
        If the folder is of another case, or damaged.
    """
    folder = Path(directory)
    known: dict[str, list[int]] = {}  # a draw may come more than once
    for number in range(len(case)):
        known.setdefault(case.key(number), []).append(number)
    found = {}
    for path in sorted(folder.glob("journal.*")):
        content = read(path)
        if content.header and content.header.get("case") != case.digest:
            raise InputError(
                f"{path} is of other data, another estimator, scoring, seed or other"
                " folds; name another directory, or remove it to begin anew"
            )
        for record in content.records:
            words = {k: v for k, v in record.items() if k not in {"fit", "number"}}
            for number in known.get(record["fit"], ()) if not record["why"] else ():
                found[number] = Fit(number, **words)
    return list(found.values())
