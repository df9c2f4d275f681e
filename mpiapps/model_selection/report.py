"""The results of all fits."""

from __future__ import annotations

import hashlib
import json
import textwrap
import warnings
from typing import Any

import numpy as np

from mpiapps.app import Result
from mpiapps.base.errors import TasksFailed
from mpiapps.model_selection.problem import CVProblem, Fit
from mpiapps.model_selection.scoring import metric_names, refit_metric

MAX_ERROR_WIDTH = 300  # characters of an error in a note
MAX_NOTES = 5  # of failed fits, and of warnings


def summary(
    problem: CVProblem, fits: list[Fit], refit: str = "", first: int = 0
) -> Result:
    """Return the result of `fits`, which are sorted by number.

    Parameters
    ----------
    problem : CVProblem
    fits : list of Fit
    refit : str
        The score that the best candidate has the highest mean of; empty for the first.
    first : int
        The first candidate that may be the best: earlier ones used fewer samples.
    """
    names = metric_names(problem.scoring)
    tables = {name: score_table(problem, fits, name) for name in names}
    main = refit_metric(problem.scoring, refit)
    failed = [fit for fit in fits if fit.reason]
    values: dict[str, Any] = {"candidates": len(problem.candidates)}
    values |= {"folds": problem.folds, "fits": len(fits), "failed": len(failed)}
    good = np.isfinite(tables[main]).sum(axis=1)
    best = best_candidate(tables[main][first:])
    if best is not None:
        best += first
        values["best"] = best
        for name, value in problem.candidates[best].items():
            values[f"best_{name}"] = _for_json(value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a score without any value
            for name in [main] if len(names) == 1 else names:
                label = "score" if len(names) == 1 else name
                values[f"mean_{label}"] = float(np.nanmean(tables[name][best]))
                values[f"std_{label}"] = float(np.nanstd(tables[name][best]))
    scores = np.stack([tables[name] for name in names], axis=-1)
    values["scores_sha256"] = hashlib.sha256(scores.tobytes()).hexdigest()
    notes = []
    if best is not None and good[best] < problem.folds:
        notes = [
            f"the best candidate has scores of {good[best]} of {problem.folds} folds"
        ]
    notes += notes_of(fits)
    return Result(values, (), notes, TasksFailed.exit_code if failed else 0)


def notes_of(fits: list[Fit]) -> list[str]:
    """Return notes of fits that failed, and of warnings."""
    notes = [
        f"fit {fit.number} failed: {textwrap.shorten(fit.reason, MAX_ERROR_WIDTH)}"
        for fit in [fit for fit in fits if fit.reason][:MAX_NOTES]
    ]
    warned = {fit.warned for fit in fits if fit.warned}
    return notes + [f"warning: {text}" for text in sorted(warned)[:MAX_NOTES]]


def score_table(
    problem: CVProblem, fits: list[Fit], name: str, *, train: bool = False
) -> np.ndarray:
    """Return the scores of a name, (candidates, folds); NaN where a fit failed.

    `train`: those on the training samples.
    """
    parts = [fit.train_scores if train else fit.scores for fit in fits]
    scores = np.array([part.get(name, np.nan) for part in parts])
    return scores.reshape(len(problem.candidates), problem.folds)


def best_candidate(table: np.ndarray) -> int | None:
    """Return the candidate with the highest mean score, or None without any score.

    Candidates with fewer failed fits come first, whatever their scores.
    """
    good = np.isfinite(table).sum(axis=1)
    if not good.any():
        return None
    means = np.nansum(table, axis=1) / np.maximum(good, 1)
    return max(range(len(table)), key=lambda i: (good[i], means[i]))


def _for_json(value: Any) -> Any:
    """Return `value`, or its text if JSON cannot represent it, such as infinity."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return str(value)
    return value


def rows(problem: CVProblem, fits: list[Fit]) -> list[dict[str, Any]]:
    """Return the rows of the CSV file, one per fit."""
    names = metric_names(problem.scoring)
    keys = dict.fromkeys(key for each in problem.candidates for key in each)
    table = []
    for fit in fits:
        candidate, fold = problem.place(fit.number)
        values = problem.candidates[candidate]
        parameters = {key: _exact(values.get(key, "")) for key in keys}
        table.append({
            "candidate": candidate, "fold": fold, **parameters,
            **{name: _exact(fit.scores.get(name, "")) for name in names},
            "seconds": round(fit.fit_seconds + fit.score_seconds, 6),
            "reason": fit.reason, "warned": fit.warned,
        })  # fmt: skip
    return table


def _exact(value: Any) -> Any:
    """Return the exact text of a float, with which it round-trips."""
    return repr(value) if isinstance(value, float) else value
