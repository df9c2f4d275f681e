"""Choose among models by AICc, and predict with all that the data support."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import optimize

from mpiapps.scaling.fitting import Data, Fit, fit, leave_largest_out
from mpiapps.scaling.models import LAWS, Array, Model, extrap_model, extrap_terms, term
from mpiapps.scaling.statistics import Estimate

MIN_EXTRAP_COUNTS = 5  # as extrap advises


def best_extrap(kind: str, data: Data) -> Fit | None:
    """Return the best model of Extra-P's form, by its residuals."""
    fits = extrap_fits(kind, data)
    return fits[0] if fits else None


def extrap_fits(kind: str, data: Data) -> list[Fit]:
    """Return the best model of Extra-P's form, and the supported ones at the ends.

    Those with the slowest and the fastest growth whose AICc is within `SUPPORTED` of
    the best one; nothing with fewer than `MIN_EXTRAP_COUNTS` counts.
    """
    if data.counts.size < MIN_EXTRAP_COUNTS:
        return []
    residuals = {pair: _relative_rss(data, *pair) for pair in extrap_terms(kind)}
    best = min(residuals, key=residuals.__getitem__)
    # All have the same number of parameters: AICc differs by n log of the ratio.
    limit = max(residuals[best], 1e-24) * math.exp(SUPPORTED / data.count.size)
    near = sorted(pair for pair, rss in residuals.items() if rss <= limit)
    chosen = dict.fromkeys([best, near[0], near[-1]])
    fits = (fit(extrap_model(*pair), data) for pair in chosen)
    return [f for f in fits if f is not None]


def _relative_rss(data: Data, i: Fraction, j: int) -> float:
    """Return the sum of squared relative residuals of the best c0, c1 >= 0."""
    columns = np.column_stack([np.ones_like(data.count), term(data.count, i, j)])
    relative = columns / data.seconds[:, None]
    return float(optimize.nnls(relative, np.ones_like(data.seconds))[1]) ** 2
