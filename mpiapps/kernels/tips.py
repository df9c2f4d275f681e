"""Tips over fares: counted into intervals, one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mpiapps.kernels.jit import kernel

BY_CARD = 1  # of the payment types; tips in cash are not recorded


@kernel
def tally(
    tips: np.ndarray,
    fares: np.ndarray,
    paid: np.ndarray,
    edges: np.ndarray,
    counts: np.ndarray,
) -> tuple[int, float]:
    """Count trips by their tip in percent of the fare; add to `counts`. Local.

    Parameters
    ----------
    tips, fares : ndarray of float64, (trips,)
        In dollars; trips without a positive fare, or whose percent is not finite, are
        left out.
    paid : ndarray, (trips,)
        How; only `BY_CARD` counts.
    edges : ndarray of float64, (bins + 1,)
        Of equal intervals, in percent, each with its lower end, the last with both:
        as `numpy.histogram` has it, to the last bit.
    counts : ndarray of int64, (bins,)

    Returns
    -------
    int, float
        Trips, also those outside of the intervals, and the sum of their percents.
    """
    bins = len(counts)
    low, high = edges[0], edges[bins]
    trips, total = 0, 0.0
    for i in range(len(tips)):
        if paid[i] != BY_CARD or not fares[i] > 0.0:
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


KERNELS: list[Callable[..., Any]] = [tally]
