"""What all fits together say."""

from __future__ import annotations

import hashlib
import json
import textwrap
from typing import Any

import numpy as np

from mpiapps.app import Result
from mpiapps.base.errors import TasksFailed
from mpiapps.learning.case import Case, Fit

WIDTH = 300  # characters of an error that are shown
SHOWN = 5  # failed fits and warnings that are told of


def summary(case: Case, fits: list[Fit]) -> Result:
    """Return the result of all fits, in the order of their numbers. Local."""
    scores = np.array([np.nan if f.score is None else f.score for f in fits])
    table = scores.reshape(len(case.candidates), case.folds)
    failed = [fit for fit in fits if fit.why]
    values: dict[str, Any] = {"candidates": len(table), "folds": case.folds}
    values |= {"fits": len(fits), "failed": len(failed)}
    good = np.isfinite(table).sum(axis=1)
    if good.any():
        # One with fits that failed is after those with fewer, whatever the others say.
        means = np.nansum(table, axis=1) / np.maximum(good, 1)
        best = max(range(len(table)), key=lambda i: (good[i], means[i]))
        values["best"] = best
        for name, value in case.candidates[best].items():
            values[f"best_{name}"] = _for_json(value)
        values["mean_score"] = float(means[best])
        values["std_score"] = float(np.nanstd(table[best]))
    values["scores_sha256"] = hashlib.sha256(scores.tobytes()).hexdigest()
    notes = []
    if good.any() and good[best] < case.folds:
        notes = [f"scores of the best are of {good[best]} of {case.folds} folds"]
    notes += [
        f"fit {fit.number} failed: {textwrap.shorten(fit.why, WIDTH)}"
        for fit in failed[:SHOWN]
    ]
    warned = {fit.warned for fit in fits if fit.warned}
    notes += [f"warning: {text}" for text in sorted(warned)[:SHOWN]]
    return Result(values, (), notes, TasksFailed.exit_code if failed else 0)


def _for_json(value: Any) -> Any:
    """Return a value, or its text if JSON does not have it, as infinity. Local."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return str(value)
    return value


def rows(case: Case, fits: list[Fit]) -> list[dict[str, Any]]:
    """Return a row for each fit. Local."""
    found = []
    for fit in fits:
        candidate, fold = divmod(fit.number, case.folds)
        parameters = {k: _exact(v) for k, v in case.candidates[candidate].items()}
        found.append({
            "candidate": candidate, "fold": fold, **parameters,
            "score": "" if fit.score is None else _exact(fit.score),
            "seconds": round(fit.seconds, 6), "why": fit.why, "warned": fit.warned,
        })  # fmt: skip
    return found


def _exact(value: Any) -> Any:
    """Return a number with all of its digits, to be repeated or compared."""
    return repr(value) if isinstance(value, float) else value
