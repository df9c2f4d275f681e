"""Counts of row groups, and the result of all of them together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

COLUMNS = ("tip_amount", "fare_amount", "payment_type")


@dataclass(frozen=True)
class GroupCounts:
    """Counts of the trips of one row group.

    Attributes
    ----------
    file : int
        Index of the file.
    group : int
        Index of the row group; sums are in this order, so their bits do not depend on
        the number of ranks.
    trips : int
    total : float
        Sum of the tips in percent.
    counts : ndarray of int64, (bins,)
    """

    file: int
    group: int
    trips: int
    total: float
    counts: np.ndarray


def summarize(
    names: list[str], edges: np.ndarray, parts: list[GroupCounts]
) -> dict[str, Any]:
    """Return mean tip in percent and histogram, of each file and of all.

    Parameters
    ----------
    names : list of str
    edges : ndarray of float64, (bins + 1,)
    parts : list of GroupCounts
        In any order.
    """
    parts = sorted(parts, key=lambda part: (part.file, part.group))
    counts = np.zeros(len(edges) - 1, np.int64)
    for part in parts:
        counts += part.counts
    trips = sum(part.trips for part in parts)
    by_file: list[list[GroupCounts]] = [[] for _ in names]
    for part in parts:
        by_file[part.file].append(part)
    return {
        "trips": trips,
        "mean_percent": _mean(parts),
        "outside": trips - int(counts.sum()),
        "counts": counts.tolist(),
        "edges": edges.tolist(),
        "files": names,
        "file_means": [_mean(file_parts) for file_parts in by_file],
        "file_counts": [
            sum((part.counts for part in file_parts), np.zeros_like(counts)).tolist()
            for file_parts in by_file
        ],
    }


def _mean(parts: list[GroupCounts]) -> float | None:
    """Return the mean percentage; None without trips, or if it is not finite."""
    trips = sum(part.trips for part in parts)
    try:
        mean = math.fsum(part.total for part in parts) / trips if trips else math.nan
    except (OverflowError, ValueError):  # also for infinities of both signs
        mean = math.inf
    return mean if math.isfinite(mean) else None


def table(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row per interval: its edges, the trips of all files and of each."""
    edges, columns = values["edges"], (values["counts"], *values["file_counts"])
    names = ("trips", *values["files"])
    return [
        {"from": low, "to": high, **dict(zip(names, counts, strict=True))}
        for low, high, *counts in zip(edges, edges[1:], *columns, strict=False)
    ]
