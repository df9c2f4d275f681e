"""How much work a chunk is, judged by the previous tasks of its call."""

from __future__ import annotations

PREFETCH_SECONDS = 0.05  # s of work that a worker may have in advance
MAX_WEIGHT = 64  # of a worker's chunks: below it, the worker may have another one
UNIT_SECONDS = PREFETCH_SECONDS / MAX_WEIGHT  # s of work that weigh 1
UNIT_BYTES = 2**18  # bytes of items that weigh 1
MAX_GROWTH = 4  # times the tasks that have ended, which a worker may have
DECAY = 1 / 8  # weight of the previous tasks


class TaskSeconds:
    """The duration of the tasks of one call, as a moving average."""

    def __init__(self) -> None:
        self._mean, self._n = 0.0, 0

    def add(self, n: int, seconds: float) -> None:
        """Note that `n` tasks took `seconds` together."""
        change = seconds / n - self._mean
        self._mean += DECAY * change if self._n else change
        self._n += n

    def weight(self, n: int, nbytes: int) -> int:
        """Return the weight of a chunk of `n` tasks with `nbytes`, 1 to `MAX_WEIGHT`.

        Bytes alone never weigh `MAX_WEIGHT`, so that a worker receives the next chunk
        while it executes a short one.
        """
        share = n / max(1, MAX_GROWTH * self._n)
        units = max(n * self._mean / UNIT_SECONDS, share * MAX_WEIGHT)
        if not self._n or units >= MAX_WEIGHT:
            return MAX_WEIGHT
        return min(MAX_WEIGHT - 1, 1 + int(units) + nbytes // UNIT_BYTES)
