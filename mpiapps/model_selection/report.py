"""The results of all fits."""

from __future__ import annotations

import hashlib
import json
import textwrap
from typing import Any

import numpy as np

from mpiapps.app import Result
from mpiapps.base.errors import TasksFailed
from mpiapps.model_selection.problem import CVProblem, Fit

MAX_ERROR_WIDTH = 300  # characters of an error in a note
MAX_NOTES = 5  # of failed fits, and of warnings


def summary(problem: CVProblem, fits: list[Fit]) -> Result:
    """Return the result of `fits`, which are sorted by number."""
    scores = np.array([np.nan if f.score is None else f.score for f in fits])
    table = scores.reshape(len(problem.candidates), problem.folds)
    failed = [fit for fit in fits if fit.reason]
    values: dict[str, Any] = {"candidates": len(table), "folds": problem.folds}
    values |= {"fits": len(fits), "failed": len(failed)}
    good = np.isfinite(table).sum(axis=1)
    if good.any():
        # Candidates with fewer failed fits come first, whatever their scores.
        means = np.nansum(table, axis=1) / np.maximum(good, 1)
        best = max(range(len(table)), key=lambda i: (good[i], means[i]))
        values["best"] = best
        for name, value in problem.candidates[best].items():
            values[f"best_{name}"] = _for_json(value)
        values["mean_score"] = float(means[best])
        values["std_score"] = float(np.nanstd(table[best]))
    values["scores_sha256"] = hashlib.sha256(scores.tobytes()).hexdigest()
    notes = []
    if good.any() and good[best] < problem.folds:
        notes = [
            f"the best candidate has scores of {good[best]} of {problem.folds} folds"
        ]
    notes += [
        f"fit {fit.number} failed: {textwrap.shorten(fit.reason, MAX_ERROR_WIDTH)}"
        for fit in failed[:MAX_NOTES]
    ]
    warned = {fit.warned for fit in fits if fit.warned}
    notes += [f"warning: {text}" for text in sorted(warned)[:MAX_NOTES]]
    return Result(values, (), notes, TasksFailed.exit_code if failed else 0)


def _for_json(value: Any) -> Any:
    """Return `value`, or its text if JSON cannot represent it, such as infinity."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return str(value)
    return value


def rows(problem: CVProblem, fits: list[Fit]) -> list[dict[str, Any]]:
    """Return the rows of the CSV file, one per fit."""
    table = []
    for fit in fits:
        candidate, fold = divmod(fit.number, problem.folds)
        parameters = {k: _exact(v) for k, v in problem.candidates[candidate].items()}
        table.append({
            "candidate": candidate, "fold": fold, **parameters,
            "score": "" if fit.score is None else _exact(fit.score),
            "seconds": round(fit.seconds, 6), "reason": fit.reason,
            "warned": fit.warned,
        })  # fmt: skip
    return table


def _exact(value: Any) -> Any:
    """Return the exact text of a float, with which it round-trips."""
    return repr(value) if isinstance(value, float) else value
