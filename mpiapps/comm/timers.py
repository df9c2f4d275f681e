"""Timers: seconds per name on each rank, compared over the ranks."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """The seconds that the ranks spent in one timed region.

    Local. `imbalance` is ``max / mean - 1``: 0 if all ranks took equally long, 1 if the
    slowest took twice the mean.
    """

    max: float
    mean: float
    imbalance: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Timing":
        """Return the timing of one region from the seconds of each rank. Local."""
        values = list(seconds)
        longest, mean = max(values), sum(values) / len(values)
        return cls(longest, mean, longest / mean - 1 if mean else 0.0)


class Timers:
    """Seconds per name on this rank, by the monotonic clock. Local."""

    def __init__(self) -> None:
        """Start with no names. Local."""
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time of the ``with`` block to `name`, also when it raises. Local."""
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + elapsed


def compare(ranks: Iterable[Mapping[str, float]]) -> dict[str, Timing]:
    """Return the `Timing` of every name from the timers of all ranks. Local.

    A rank that did not enter a region counts with 0 s. Names are in the order of their
    first use.
    """
    timers = list(ranks)
    names = dict.fromkeys(name for seconds in timers for name in seconds)
    return {
        name: Timing.of(seconds.get(name, 0.0) for seconds in timers) for name in names
    }
