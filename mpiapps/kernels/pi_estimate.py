"""Estimate of pi with standard error and confidence interval, from counted hits."""

from __future__ import annotations

import math
from typing import Any

# Coordinates lie on a lattice of 2**bits points per side. Its exact fraction of points
# inside the circle gives pi with this bias (scripts/lattice_bias.py).
BIAS = {16: 4.7375909e-8, 32: 9.2255265e-15}
MIN_NORMAL = 1000  # hits and misses; with fewer, the exact binomial interval is used
Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution

Estimate = tuple[dict[str, Any], list[str]]


def estimate_darts(hits: int, samples: int, bits: int) -> Estimate:
    """Return values and notes for `hits` of independent darts.

    The standard error is ``4 sqrt(p (1 - p) / N)``. The 95 % interval is pi +- 1.96
    standard errors or, with fewer than `MIN_NORMAL` hits or misses, the exact binomial
    interval (Clopper and Pearson, Biometrika 26, 1934).
    """
    p = hits / samples
    stderr = 4 * math.sqrt(p * (1 - p) / samples)
    interval = [4 * p - Z95 * stderr, 4 * p + Z95 * stderr]
    if min(hits, samples - hits) < MIN_NORMAL:
        interval = [4 * bound for bound in _binomial_interval(hits, samples)]
    notes = []
    if BIAS[bits] > 4 * math.sqrt(math.pi / 4 * (1 - math.pi / 4) / samples) / 10:
        notes.append(
            f"the lattice of {bits}-bit coordinates shifts pi by {BIAS[bits]:.1e}, more"
            " than a tenth of the standard error"
        )
    values = {"pi": 4 * p, "stderr": stderr, "interval": interval}
    return values | _common_values(hits, samples, bits), notes


def estimate_strata(hits: int, split: int, side: int, requested: int) -> Estimate:
    """Return values and notes for two darts in each of ``side**2`` cells.

    The darts x, y of a cell have the sample variance ``(x - y)**2 / 2``: 1/2 in a
    `split` cell, 0 in others. The sum over all cells gives
    ``stderr = 2 sqrt(split) / side**2`` (stratified sampling, two darts per stratum:
    Cochran, Sampling Techniques, 1977, chapter 5).
    """
    samples = 2 * side**2
    pi = 4 * hits / samples
    stderr = 2 * math.sqrt(split) / side**2
    notes = []
    if samples != requested:
        notes.append(
            f"used {samples} darts of {requested}: two in each cell of a square grid"
        )
    interval = [pi - Z95 * stderr, pi + Z95 * stderr]
    values = {"pi": pi, "stderr": stderr, "interval": interval}
    return values | _common_values(hits, samples, 32), notes


def _common_values(hits: int, samples: int, bits: int) -> dict[str, Any]:
    return {
        "hits": hits,
        "samples": samples,
        "coordinate_bits": bits,
        "bias": BIAS[bits],
    }


def _binomial_interval(hits: int, samples: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a probability (Clopper and Pearson)."""
    from scipy.special import betaincinv

    misses = samples - hits
    low = float(betaincinv(hits, misses + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, misses, 0.975)) if misses else 1.0
    return low, high
