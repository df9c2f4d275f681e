"""Fits on a worker of Dask, which has the case once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distributed import WorkerPlugin

from mpiapps.learning.case import Case, Fit

if TYPE_CHECKING:
    from distributed import Worker

_cases: list[Case] = []  # the one of the worker that this process is


class HasCase(WorkerPlugin):
    """Gives a worker the case when it starts, also when it is started again."""

    name = "mpiapps-case"

    def __init__(self, case: Case) -> None:
        self._case = case

    def setup(self, worker: Worker) -> None:
        """Keep it; called by the worker."""
        del worker
        _cases[:] = [self._case]


def fit_here(number: int) -> Fit:
    """Do one fit. On a worker."""
    return _cases[0].fit(number)
