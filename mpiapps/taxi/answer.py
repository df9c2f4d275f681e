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
    """Return mean tip in percent and histogram, of each file and of all. Local.

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
    of_file: list[list[Part]] = [[] for _ in names]
    for part in parts:
        of_file[part.file].append(part)
    shown = int(counts.sum())
    return {
        "trips": trips,
        "mean_percent": _mean(parts),
        "outside": trips - shown,
        "counts": counts.tolist(),
        "edges": edges.tolist(),
        "files": names,
        "file_means": [_mean(mine) for mine in of_file],
        "file_counts": [
            sum((part.counts for part in mine), np.zeros_like(counts)).tolist()
            for mine in of_file
        ],
    }


def _mean(parts: list[Part]) -> float | None:
    """Return the mean percent; None if there are no trips, or no number holds it."""
    trips = sum(part.trips for part in parts)
    try:
        mean = math.fsum(part.total for part in parts) / trips if trips else math.nan
    except (OverflowError, ValueError):  # as do infinities of both signs
        mean = math.inf
    return mean if math.isfinite(mean) else None


def table(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each interval: its ends, the trips of all and of each file."""
    edges, columns = values["edges"], (values["counts"], *values["file_counts"])
    names = ("trips", *values["files"])
    return [
        {"from": low, "to": high, **dict(zip(names, counts, strict=True))}
        for low, high, *counts in zip(edges, edges[1:], *columns, strict=False)
    ]
