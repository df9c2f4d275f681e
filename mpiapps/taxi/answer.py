"""What is asked of the trips, and what all parts of it together say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

COLUMNS = ("tip_amount", "fare_amount", "payment_type")


@dataclass(frozen=True)
class Part:
    """What some trips of one file say.

    Attributes
    ----------
    file : int
        Its place in the list.
    group : int
        Of the file: parts are added up in this order, so sums have the same bits.
    trips : int
    total : float
        The sum of their percents.
    counts : ndarray of int64, (bins,)
    """

    file: int
    group: int
    trips: int
    total: float
    counts: np.ndarray


def answer(names: list[str], edges: np.ndarray, parts: list[Part]) -> dict[str, Any]:
    """Return the mean tip in percent of each file and of all, and the histogram. Local.

    Parameters
    ----------
    names : list of str
    edges : ndarray of float64, (bins + 1,)
    parts : list of Part
        In any order.
    """
    parts = sorted(parts, key=lambda part: (part.file, part.group))
    counts = np.zeros(len(edges) - 1, np.int64)
    for part in parts:
        counts += part.counts
    trips = sum(part.trips for part in parts)
    files = {}
    for file, name in enumerate(names):
        mine = [part for part in parts if part.file == file]
        files[name] = _mean(mine)
    shown = int(counts.sum())
    return {
        "trips": trips,
        "mean_percent": _mean(parts),
        "outside": trips - shown,
        "counts": counts.tolist(),
        "edges": edges.tolist(),
        "files": list(files),
        "file_means": list(files.values()),
    }


def _mean(parts: list[Part]) -> float | None:
    """Return the mean percent; None if there are no trips."""
    trips = sum(part.trips for part in parts)
    return math.fsum(part.total for part in parts) / trips if trips else None
