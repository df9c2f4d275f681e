"""Successive halving: all candidates with few samples, the better ones with more.

Karnin, Koren, Somekh, Almost optimal exploration in multi-armed bandits (ICML 2013), in
the form of scikit-learn's `HalvingGridSearchCV` and `HalvingRandomSearchCV`, with the
same candidates, samples and scores.
"""

from __future__ import annotations

from math import ceil, floor, log
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.model_selection.folds import Splits
from mpiapps.model_selection.problem import CVProblem
from mpiapps.model_selection.report import score_table
from mpiapps.model_selection.rounds import Round, Search
from mpiapps.model_selection.scoring import refit_metric

SAMPLES_PER_CLASS = 2  # of each test set in the first round, at least


def halving(
    problem: CVProblem, *, factor: float, min_samples: int = 0, refit: str = ""
) -> Search:
    """Yield rounds with `factor` times the samples and 1 / `factor` of the candidates.

    Parameters
    ----------
    factor : float
        Above 1.
    min_samples : int
        Samples of a fit in the first round; 0: so many that the last round uses all
        samples, if possible.
    refit : str
        The score that decides.

    Raises
    ------
    InputError
        If there are fewer samples than the first round needs.
    """
    candidates, samples = problem.candidates, len(problem.y)
    required = 1 + floor(log(len(candidates), factor))
    least = min_samples or max(
        _smallest(problem), int(samples // factor ** (required - 1))
    )
    if least > samples:
        raise InputError(
            f"--search halving needs {least} samples in the first round, and there are"
            f" {samples}: use fewer --folds, or a lower --min-samples"
        )
    rounds = min(required, 1 + floor(log(samples // least, factor)))
    name = refit_metric(problem.scoring, refit)
    for number in range(rounds):
        size = min(int(factor**number * least), samples)
        splits = _subsampled(problem, size)
        part, fits = yield Round(candidates, splits, [size] * len(candidates))
        means = score_table(part, fits, name).mean(axis=1)
        candidates = _best(candidates, means, ceil(len(candidates) / factor))


def _smallest(problem: CVProblem) -> int:
    """Return the samples with which test sets may have some of each class."""
    from sklearn.base import is_classifier

    classifier = is_classifier(problem.model(problem.candidates[0]))
    classes = len(np.unique(problem.y)) if classifier else 1
    return problem.folds * SAMPLES_PER_CLASS * classes


def _subsampled(problem: CVProblem, size: int) -> Splits:
    """Return the share of `size` samples of each training and test set.

    Raises
    ------
    InputError
        If none would be left of one.
    """
    from sklearn.utils import resample

    samples, splits = len(problem.y), problem.splits
    fraction = size / samples

    def some(indices: np.ndarray) -> Any:
        n = int(fraction * len(indices))
        if not n:
            raise InputError(
                f"--search halving: {fraction:.2g} of a set of {len(indices)} samples"
                " is none: use fewer --folds, or a higher --min-samples"
            )
        return resample(indices, replace=False, random_state=problem.seed, n_samples=n)

    pairs = [tuple(map(some, splits[n])) for n in range(len(splits))]
    return Splits.of(pairs, samples)


def _best(candidates: list[Any], means: np.ndarray, n: int) -> list[Any]:
    """Return the `n` candidates with the highest means, the highest last; NaN first."""
    order = np.roll(np.argsort(means), np.count_nonzero(np.isnan(means)))
    return [candidates[i] for i in order[-n:]]
