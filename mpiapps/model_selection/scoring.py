"""Scores by name: those of scikit-learn, and own scorers."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from mpiapps.base.errors import InputError
from mpiapps.base.optional import resolve_callable

if TYPE_CHECKING:
    import numpy as np

Scorer = Callable[[Any, Any, Any], float]
SINGLE = "score"  # the name of the only score, as in cv_results_ of scikit-learn


def split_names(scoring: str) -> list[str]:
    """Return the parts of ``--scoring``: names, or ``module:name``; may be none."""
    return [part.strip() for part in scoring.split(",")] if scoring else []


def metric_names(scoring: str) -> list[str]:
    """Return the names of the scores of a fit.

    Raises
    ------
    InputError
        If two are alike.
    """
    names = [part.rpartition(":")[2] for part in split_names(scoring)]
    if len(set(names)) < len(names):
        raise InputError(f"--scoring {scoring}: two scores have the same name")
    return names if len(names) > 1 else [SINGLE]


def refit_metric(scoring: str, refit: str) -> str:
    """Return the name of the score by which the best candidate is chosen.

    Raises
    ------
    InputError
        If it is not one of `scoring`.
    """
    names = metric_names(scoring)
    own = [part.rpartition(":")[2] for part in split_names(scoring)]
    if not refit:
        return names[0]
    for part, name in zip(split_names(scoring), own, strict=True):
        if refit in (part, name):
            return name if len(names) > 1 else SINGLE
    raise InputError(
        f"--refit {refit}: expected one of --scoring, {', '.join(own) or 'not given'}"
    )


def scorers(model: Any, scoring: str) -> dict[str, Scorer]:
    """Return the scorers of `model` by the names of `metric_names`.

    Raises
    ------
    InputError
        If there is no such scorer, or the estimator has no score of its own.
    """
    from sklearn.metrics import check_scoring, get_scorer_names

    chosen: list[Any] = []
    for part in split_names(scoring):
        if ":" in part:
            chosen.append(resolve_callable(part, "scorer"))
            continue
        names = get_scorer_names()
        if part not in names:
            similar = difflib.get_close_matches(part, names) or names
            raise InputError(
                f"--scoring {part}: expected one of {', '.join(similar)}, or"
                " module:name of a function of an estimator, samples and targets"
            )
        chosen.append(part)
    try:
        every = [check_scoring(model, scoring=each) for each in chosen or [None]]
    except (TypeError, ValueError) as error:
        raise InputError(f"{error}; choose one by --scoring") from error
    return dict(zip(metric_names(scoring), every, strict=True))


def check_scoring_defined(
    model: Any, scoring: str, smallest_test: int, y: np.ndarray
) -> None:
    """Raise `InputError` if a score needs more samples, or fewer targets.

    Parameters
    ----------
    model : estimator
    scoring : str
    smallest_test : int
        Samples of the smallest test set.
    y : ndarray, (samples,) or (samples, targets)
    """
    from sklearn.base import RegressorMixin

    if y.ndim > 1:
        _check_several_targets(model, scoring, y)
    own = getattr(type(_last(model)), "score", None) is RegressorMixin.score
    names = split_names(scoring)
    if ("r2" in names or (own and not names)) and smallest_test < 2:
        raise InputError(
            "R2, the score of regressors, needs two samples or more in each fold; use"
            " fewer --folds, or --scoring neg_mean_squared_error"
        )


def _last(model: Any) -> Any:
    """Return the last step of a pipeline, whose score is its own, or `model`."""
    steps = getattr(model, "steps", None)
    return steps[-1][1] if steps else model


def _check_several_targets(model: Any, scoring: str, y: np.ndarray) -> None:
    """Raise `InputError` if a score of predictions is for one target only.

    It is if it can compare the first target with itself, but not all of them.
    """
    from sklearn.base import ClassifierMixin
    from sklearn.metrics import get_scorer

    from mpiapps.comm.pickling import attempt

    default = getattr(type(_last(model)), "score", None) is ClassifierMixin.score
    for name in split_names(scoring) or ["accuracy"] * default:
        if ":" in name:
            continue
        scorer = get_scorer(name)
        metric = partial(scorer._score_func, **scorer._kwargs)  # no public access
        if attempt(metric, y[:, 0], y[:, 0])[0]:
            done, error = attempt(metric, y, y)
            if not done:
                raise InputError(
                    f"{y.shape[1]} targets, and the score {name} needs one: {error};"
                    " choose another --scoring, such as r2, or one --target"
                )
