"""Histogram and sum of tips in percent of the fare; one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mpiapps.kernels.jit import kernel

BY_CARD = 1  # payment type; tips in cash are not recorded


@kernel
def count_tips(
    tips: np.ndarray,
    fares: np.ndarray,
    payment_types: np.ndarray,
    edges: np.ndarray,
    counts: np.ndarray,
) -> tuple[int, float]:
    """Add trips to `counts` by their tip in percent of the fare.

    Only trips paid `BY_CARD`, with a positive fare and a finite percentage. `edges` are
    those of equal intervals, each with its left edge, the last with both: the counts
    are identical to those of `numpy.histogram`.

    Returns
    -------
    int, float
        Number of trips, including those outside the intervals, and the sum of their
        percentages.
    """
    bins = len(counts)
    low, high = edges[0], edges[bins]
    trips, total = 0, 0.0
    for i in range(len(tips)):
        if payment_types[i] != BY_CARD or not fares[i] > 0.0:
            continue
        percent = 100.0 * tips[i] / fares[i]
        if not np.isfinite(percent):
            continue
        trips += 1
        total += percent
        if not low <= percent <= high:
            continue
        bin_ = min(bins - 1, int((percent - low) / (high - low) * bins))
        if percent < edges[bin_]:
            bin_ -= 1
        elif percent >= edges[bin_ + 1] and bin_ != bins - 1:
            bin_ += 1
        counts[bin_] += 1
    return trips, total


KERNELS: list[Callable[..., Any]] = [count_tips]
