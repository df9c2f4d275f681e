"""Choose among models by AICc, and predict with all that the data support."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import optimize

from mpiapps.scaling.fitting import Data, Fit, fit, leave_largest_out
from mpiapps.scaling.models import (
    LAWS,
    Array,
    Model,
    extrap_model,
    extrap_terms,
    term,
)
from mpiapps.scaling.statistics import Estimate

MIN_EXTRAP_COUNTS = 5  # as extrap advises
# Models with a difference of AICc up to 7 have some support: Burnham, Anderson 2002,
# section 2.6. Their bands together are the band of a prediction.
SUPPORTED = 7.0


@dataclass(frozen=True)
class Choice:
    """The fitted models of a study, the best first.

    Attributes
    ----------
    fits : tuple of Fit
    alternatives : tuple of Fit
        Extra-P's form with the slowest and the fastest growth that have support; they
        widen the band, since the exponents are uncertain too.
    data : Data
        What they were fitted to.
    """

    fits: tuple[Fit, ...]
    alternatives: tuple[Fit, ...]
    data: Data

    @property
    def largest(self) -> float:
        """The largest measured count."""
        return float(self.data.counts[-1])

    def error(self, fitted: Fit) -> float | None:
        """Return the leave-largest-out error of one of `fits`, relative, or `None`."""
        return leave_largest_out(fitted.model, self.data)

    @property
    def best(self) -> Fit | None:
        """The fit with the least AICc, if there is one."""
        return self.fits[0] if self.fits else None

    @property
    def supported(self) -> list[Fit]:
        """The fits within `SUPPORTED` of the best one."""
        limit = self.fits[0].aicc + SUPPORTED
        return [f for f in (*self.fits, *self.alternatives) if f.aicc <= limit]

    def curve(self, count: Array, work: Array) -> tuple[Array, Array, Array]:
        """Return the best model's seconds, and the band of all supported models."""
        bands = [f.band(count, work) for f in self.supported]
        low = np.min([band[0] for band in bands], axis=0)
        high = np.max([band[1] for band in bands], axis=0)
        return self.fits[0].time(count, work), low, high

    def predict(self, count: float, work: float) -> Estimate:
        """Return the predicted seconds at one count, with the band."""
        columns = self.curve(np.array([float(count)]), np.array([float(work)]))
        return Estimate(*(float(column[0]) for column in columns))


def choose(kind: str, data: Data, *, laws: Sequence[Model] = ()) -> Choice:
    """Return the fits of all models that the data determine.

    Parameters
    ----------
    kind : {"strong", "weak", "throughput"}
    data : Data
    laws : sequence of Model, optional
        Default: those of the kind, and Extra-P's form.
    """
    fits = [f for model in laws or LAWS[kind] if (f := fit(model, data)) is not None]
    form = [] if laws else extrap_fits(kind, data)
    fits = sorted([*fits, *form[:1]], key=lambda f: f.aicc)
    return Choice(tuple(fits), tuple(form[1:]), data)


def best_extrap(kind: str, data: Data) -> Fit | None:
    """Return the best model of Extra-P's form, by its residuals, if there is one."""
    return next(iter(extrap_fits(kind, data)), None)


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
