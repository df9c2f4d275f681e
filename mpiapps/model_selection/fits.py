"""Fits as tasks of the engine."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mpiapps.base.optional import resolve_callable
from mpiapps.comm import host_memory
from mpiapps.model_selection.problem import CVProblem, Fit
from mpiapps.tasks.task_journal import TaskJournal
from mpiapps.tasks.task_set import TaskSet

if TYPE_CHECKING:
    from mpiapps.tasks.engine import TaskResults  # it starts MPI, and workers do not

DEPENDS_ON = "other data, another estimator, scoring, seed or other folds"


class FitTasks(TaskSet):
    """The fits of a problem. Local.

    Attributes
    ----------
    problem : CVProblem
    """

    unit = timer = "fits"

    def __init__(self, problem: CVProblem, n_jobs: int = 0) -> None:
        self.problem, self.nbytes, self.n_jobs = problem, problem.nbytes, n_jobs

    def __reduce__(self) -> Any:
        """Return how another process of a host makes it, with the host's samples."""
        own = self.problem, self.n_jobs
        if not host_memory.REFERENCES.nbytes:
            return FitTasks, own
        return _load, (host_memory.dumps(own),)

    def __len__(self) -> int:
        """Return the number of fits."""
        return len(self.problem)

    def prepare(self) -> None:
        """Import the estimator and the scorers."""
        resolve_callable(self.problem.estimator, "Class")
        importlib.import_module("sklearn.metrics")

    def run(self, numbers: Sequence[int]) -> Iterator[Any]:
        """Yield the values of each fit."""
        for number in numbers:
            values = asdict(self.problem.fit(number))
            del values["number"]  # another run may give the fit another one
            yield values

    def key(self, number: int) -> str:
        """Return the parameters and the fold."""
        return self.problem.key(number)

    def is_valid(self, number: int, value: Any) -> bool:
        """Return whether a recorded fit went well, with the scores asked for."""
        del number
        missing = self.problem.train_scores and not value.get("train_scores")
        return not (value["reason"] or missing)

    def for_root(self, number: int, value: Any) -> Fit:
        """Return the fit."""
        return Fit(number, **value)


@lru_cache(1)  # joblib sends them with each task
def _load(content: bytes) -> FitTasks:
    return FitTasks(*pickle.loads(content))


def journal_of(
    problem: CVProblem, directory: str, *, force_unlock: bool
) -> TaskJournal:
    """Return where the fits of a problem are recorded."""
    header = {"case": problem.digest} if directory else {}
    return TaskJournal(directory, header, DEPENDS_ON, force_unlock)


def all_fits(results: TaskResults) -> list[Fit]:
    """Return the fits in the order of their numbers; a lost worker's have failed."""
    lost = [Fit(n, {}, reason=f.reason) for n, f in results.failures.items()]
    return sorted([*results.values, *lost], key=lambda fit: fit.number)
