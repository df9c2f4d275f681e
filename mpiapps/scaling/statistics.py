"""Medians with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000


class Estimate(NamedTuple):
    """A value and its interval."""

    value: float
    low: float
    high: float


def resampled_medians(values: Sequence[float], seed: int = 0) -> np.ndarray:
    """Return the medians of `RESAMPLES` samples with replacement, shape (RESAMPLES,).

    The same seed gives the same bits.
    """
    sample = np.asarray(values, dtype=float)
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, sample.size, (RESAMPLES, sample.size))
    medians: np.ndarray = np.median(sample[rows], axis=1)
    return medians


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the percentile interval of level `LEVEL`."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def median(values: Sequence[float], seed: int = 0) -> Estimate:
    """Return the median with its percentile bootstrap interval.

    With one value the interval has no width, which says nothing about its spread.
    Source: B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap, 1993,
    section 13.3.
    """
    medians = resampled_medians(values, seed)
    return Estimate(float(np.median(values)), *interval(medians))


def ratio_of_medians(top: Sequence[float], bottom: Sequence[float]) -> Estimate:
    """Return ``median(top) / median(bottom)``; both are resampled independently."""
    ratios = resampled_medians(top, 1) / resampled_medians(bottom, 2)
    return Estimate(float(np.median(top) / np.median(bottom)), *interval(ratios))
