"""Fit models to measured times: parameters, intervals, predictions.

Residuals are logarithms of time, since run times vary by a factor rather than by a
number of seconds. Intervals are Scheffe's: at level 0.95 they hold for all parameters
and the whole curve at once (H. Scheffe, The Analysis of Variance, 1959, section 3.5;
for a curve, H. Working, H. Hotelling, JASA 24, 1929).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from mpiapps.scaling.models import Array, Model
from mpiapps.scaling.statistics import LEVEL, Estimate


@dataclass(frozen=True)
class Data:
    """Measured times of a study: arrays of shape (n,), one element per run.

    Attributes
    ----------
    count : array
        Cores, or nodes.
    work : array
        Work relative to that of one core: `work` equals 1 or `count`.
    seconds : array
    """

    count: Array
    work: Array
    seconds: Array

    @property
    def counts(self) -> Array:
        """The distinct counts, ascending."""
        return np.unique(self.count)

    def only(self, selected: np.ndarray) -> Data:
        """Return the runs that a mask of shape (n,) selects."""
        return Data(self.count[selected], self.work[selected], self.seconds[selected])


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes
    ----------
    model : Model
    theta : array
        Parameters, shape (k,).
    covariance : array
        Of the parameters, shape (k, k).
    freedom : int
        Degrees of freedom of the variance.
    sigma : float
        Standard deviation of one run, relative.
    repeats : float
        Mean number of runs per count.
    aicc : float
    lacks_fit : bool
        Whether deviations of the medians from the curve exceed the spread of runs.
    """

    model: Model
    theta: Array
    covariance: Array
    freedom: int
    sigma: float
    repeats: float
    aicc: float
    lacks_fit: bool

    @property
    def factor(self) -> float:
        """Scheffe's multiplier of a standard error."""
        k = len(self.theta)
        return float(math.sqrt(k * stats.f.ppf(LEVEL, k, self.freedom)))

    def parameters(self) -> dict[str, Estimate]:
        """Return the parameters with their intervals, within their bounds.

        That of a law's time on one core is of its logarithm, since it is not zero.
        """
        errors = self.factor * np.sqrt(np.diag(self.covariance))
        low = np.maximum(self.theta - errors, self.model.lower)
        high = np.minimum(self.theta + errors, self.model.upper)
        if not self.model.choices:
            ratio = math.exp(min(errors[0] / self.theta[0], 700.0))
            low[0], high[0] = self.theta[0] / ratio, self.theta[0] * ratio
        estimates = map(Estimate, self.theta.tolist(), low.tolist(), high.tolist())
        return dict(zip(self.model.parameters, estimates, strict=True))

    def time(self, count: Array, work: Array) -> Array:
        """Return the seconds at counts that need not be measured."""
        return self.model.time(count, work, self.theta)

    def band(self, count: Array, work: Array) -> tuple[Array, Array]:
        """Return the band of a new median of as many runs, arrays of shape (n,).

        The error of the curve, within the times of the lowest and highest parameters
        (all models grow with each of them), and that of the new median.
        """
        time = self.time(count, work)
        slope = _jacobian(self.model, count, work, self.theta) * time[:, None]
        error = np.sqrt(np.einsum("ni,ij,nj->n", slope, self.covariance, slope))
        ends = np.array(list(self.parameters().values()))[:, 1:].T
        lowest, highest = (self.model.time(count, work, end) for end in ends)
        low = np.maximum(time - self.factor * error, lowest)
        high = np.minimum(time + self.factor * error, highest)
        t = float(stats.t.ppf((1 + LEVEL) / 2, self.freedom))
        # The standard error of a median is sqrt(pi / 2) that of a mean.
        spread = math.exp(t * self.sigma * math.sqrt(math.pi / 2 / self.repeats))
        return low / spread, high * spread


def _jacobian(model: Model, p: Array, w: Array, theta: Array) -> Array:
    """Return the derivatives of log time, shape (n, k), by central differences."""
    columns = []
    for index, value in enumerate(theta):
        step = 1e-6 * max(abs(value), 1e-6)
        low, high = theta.copy(), theta.copy()
        high[index] = value + step
        low[index] = max(model.lower[index], value - step)
        rise = np.log(model.time(p, w, high)) - np.log(model.time(p, w, low))
        columns.append(rise / (high[index] - low[index]))
    return np.column_stack(columns)


def fit(model: Model, data: Data) -> Fit | None:
    """Return the least-squares fit, or `None` if the counts do not determine it.

    A model needs one count more than it has parameters, chosen exponents included.
    """
    p, w, t = data.count, data.work, data.seconds
    k, n, m = len(model.parameters), t.size, data.counts.size
    if m < k + 1 or m < k + model.choices + 1:
        return None
    log_time = np.log(t)
    lower, upper = np.array(model.lower), np.array(model.upper)
    floor = np.where(lower == 0, 1e-300, lower)

    def residuals(theta: Array) -> Array:
        return np.asarray(
            np.log(np.maximum(model.time(p, w, theta), 1e-300)) - log_time
        )

    start = np.clip(
        model.start(p, w, t), floor, np.where(np.isinf(upper), 1e300, upper)
    )
    scale = np.maximum(np.abs(start), 1e-12)
    result = optimize.least_squares(
        residuals, start, bounds=(lower, upper), x_scale=scale, xtol=1e-12, ftol=1e-12
    )
    error = result.fun
    rss = float(error @ error)
    variance, freedom, lacks = _variance(data, error, k)
    slope = _jacobian(model, p, w, result.x)
    covariance = np.asarray(variance * np.linalg.pinv(slope.T @ slope), dtype=float)
    return Fit(
        model=model,
        theta=result.x,
        covariance=covariance,
        freedom=freedom,
        sigma=math.sqrt(variance),
        repeats=n / m,
        aicc=aicc(rss, n, k + model.choices),
        lacks_fit=lacks,
    )


def _variance(data: Data, error: Array, k: int) -> tuple[float, int, bool]:
    """Return the variance of a run, its degrees of freedom, and whether fit is lacking.

    Where the means of the counts deviate from the curve by more than the spread of
    repeated runs explains (lack-of-fit test at 5 %; N. R. Draper, H. Smith, Applied
    Regression Analysis, 1998, section 2.1), the deviations count as the error: repeats
    of a run do not make a wrong model right.
    """
    groups = [error[data.count == count] for count in data.counts]
    pure = sum(float(((g - g.mean()) ** 2).sum()) for g in groups)
    lack = sum(g.size * float(g.mean()) ** 2 for g in groups)
    n, m = error.size, len(groups)
    if n > m:
        mean_lack, mean_pure = lack / (m - k), pure / (n - m)
        critical = float(stats.f.ppf(LEVEL, m - k, n - m))
        if mean_lack > critical * mean_pure:
            return mean_lack, m - k, True
    return max((pure + lack) / (n - k), 1e-16), n - k, False


def aicc(rss: float, n: int, k: int) -> float:
    """Return Akaike's criterion for small samples, infinite if n is too small.

    k parameters and the variance of the errors; K. P. Burnham, D. R. Anderson, Model
    Selection and Multimodel Inference, 2002, section 2.4.
    """
    free = k + 1
    if n - free - 1 <= 0:
        return math.inf
    return (
        n * math.log(max(rss, 1e-300) / n)
        + 2 * free
        + 2 * free * (free + 1) / (n - free - 1)
    )


def leave_largest_out(model: Model, data: Data) -> float | None:
    """Return the relative error at the largest count of a fit to the others.

    `None` if the others do not determine the model.
    """
    largest = data.counts[-1]
    fitted = fit(model, data.only(data.count < largest))
    if fitted is None:
        return None
    rest = data.only(data.count == largest)
    predicted = fitted.time(rest.count[:1], rest.work[:1])[0]
    return float(predicted / np.median(rest.seconds) - 1)


def data_of(pairs: Sequence[tuple[float, float, float]]) -> Data:
    """Return data from tuples (count, work, seconds)."""
    columns = np.array(pairs, dtype=float).reshape(-1, 3).T
    return Data(*columns)
