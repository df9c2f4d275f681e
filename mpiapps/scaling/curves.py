"""The points and curves that plots show, independent of how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpiapps.scaling.models import Array
from mpiapps.scaling.results import Results

POINTS = 100


@dataclass(frozen=True)
class Curve:
    """Capacity by the best model, with the band of all supported ones.

    Arrays of shape (n,): counts, capacity, and its lowest and highest value.
    """

    count: Array
    capacity: Array
    low: Array
    high: Array


def fitted(results: Results) -> Curve | None:
    """Return the fitted curve up to the largest measured or predicted count."""
    if results.choice.best is None:
        return None
    first, reference = results.line[0].case.count, results.line[0].seconds.value
    last = max([results.line[-1].case.count, *results.predictions])
    count = np.geomspace(first, last, POINTS)
    work = np.array([results.work(p) for p in count])
    seconds, low, high = results.choice.curve(count, work)
    relative = work / results.work(first) * reference
    low = np.maximum(low, 1e-12)  # the clock shows less as zero
    return Curve(count, relative / seconds, relative / high, relative / low)
