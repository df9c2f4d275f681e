"""Learning and validation curves: scores by training samples, or by one parameter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mpiapps.app.picture import new_figure, picture
from mpiapps.base.errors import InputError
from mpiapps.model_selection.folds import Splits
from mpiapps.model_selection.problem import CVProblem, Fit
from mpiapps.model_selection.report import score_table
from mpiapps.model_selection.scoring import SINGLE, refit_metric

SMALLEST_SHARE = 0.1  # of the training samples, as in scikit-learn's learning_curve
LOG_RATIO = 50  # of the largest and smallest value on a logarithmic axis
LINES = {"train": ("#4c78a8", "training samples"), "test": ("#e07b39", "test samples")}


def learning_curve(problem: CVProblem, sizes: int) -> CVProblem:
    """Return fits of the only candidate with a growing number of samples.

    Training samples are shuffled by the seed, as by scikit-learn's ``learning_curve``
    with ``shuffle=True``: the first ones of sorted data would have one class.

    Parameters
    ----------
    problem : CVProblem
    sizes : int
        Numbers of samples, from a tenth to all of the first training set.

    Raises
    ------
    InputError
        If there are several candidates.
    """
    if len(problem.candidates) > 1:
        raise InputError(
            f"--curve learning has {len(problem.candidates)} candidates: expected"
            " [fixed] parameters only in --params"
        )
    rng = np.random.RandomState(problem.seed)
    every = [problem.splits[n] for n in range(problem.folds)]
    pairs = [(rng.permutation(train), test) for train, test in every]
    largest = len(pairs[0][0])
    shares = np.linspace(SMALLEST_SHARE, 1, sizes)
    counts = np.unique(np.clip((shares * largest).astype(int), 1, largest)).tolist()
    return replace(
        problem, splits=Splits.of(pairs, len(problem.y)), train_scores=True,
        candidates=problem.candidates * len(counts), resources=counts, truncate=True,
    )  # fmt: skip


def validation_curve(problem: CVProblem) -> CVProblem:
    """Return the fits of a problem, scored on training samples too.

    Raises
    ------
    InputError
        If the candidates differ by none, or by several parameters.
    """
    names = [name for name, _ in _varied(problem)]
    if len(names) != 1:
        raise InputError(
            f"--curve validation: candidates differ in {', '.join(names) or 'nothing'};"
            " expected one list, or interval, in [search] of --params"
        )
    return replace(problem, train_scores=True)


def _varied(problem: CVProblem) -> list[tuple[str, list[Any]]]:
    """Return the parameters in which candidates differ, and their values."""
    names = dict.fromkeys(name for each in problem.candidates for name in each)
    values = {name: [each.get(name) for each in problem.candidates] for name in names}
    return [(k, v) for k, v in values.items() if len(set(map(repr, v))) > 1]


def draw(problem: CVProblem, fits: list[Fit], refit: str, suffix: str) -> bytes:
    """Return the picture of a curve: means, and bands of a standard deviation.

    Parameters
    ----------
    problem, fits
        A curve.
    refit : str
        The score that is shown; empty for the first.
    suffix : str
        One of `mpiapps.app.picture.PICTURES`.

    Raises
    ------
    LaunchError
        If matplotlib is not installed.
    """
    figure = new_figure(7, 4)
    axes = figure.add_subplot()
    label, values = "training samples", list(problem.resources)
    if not problem.truncate:
        label, values = _varied(problem)[0]
    places = _places(axes, values)
    order = np.argsort(places, kind="stable")
    name = refit_metric(problem.scoring, refit)
    for part, (color, samples) in LINES.items():
        table = score_table(problem, fits, name, train=part == "train")[order]
        mean, spread = table.mean(axis=1), table.std(axis=1)
        x = places[order]
        axes.plot(x, mean, "o-", color=color, label=samples)
        axes.fill_between(x, mean - spread, mean + spread, color=color, alpha=0.2)
    score = name if name != SINGLE else problem.scoring or "score"
    axes.set(xlabel=label, ylabel=f"{score} (mean and standard deviation)")
    axes.set_title(problem.estimator.rpartition(":")[2])
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False)
    return picture(figure, suffix)


def _places(axes: Any, values: list[Any]) -> np.ndarray:
    """Return where values are on the axis; set its scale, or its labels."""
    numbers = [v for v in values if isinstance(v, int | float) and np.isfinite(v)]
    if len(numbers) < len(values) or any(isinstance(v, bool) for v in values):
        axes.set_xticks(range(len(values)), [str(value) for value in values])
        return np.arange(len(values))
    if min(numbers) > 0 and max(numbers) > LOG_RATIO * min(numbers):
        axes.set_xscale("log")
    return np.array(numbers)
