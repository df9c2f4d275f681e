"""The estimator of bench_search.py: a fit takes a given time, whatever the samples."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from sklearn.base import BaseEstimator, ClassifierMixin

BLOCK = bytes(2**16)  # hashed without the interpreter's lock, as compiled fits compute


def hash_blocks(count: int) -> None:
    """Occupy a core with `count` units of work."""
    for _ in range(count):
        hashlib.sha256(BLOCK).digest()


def blocks_per_second() -> float:
    """Return the units of work that this core does in a second, from 0.2 s."""
    count, begin = 0, time.perf_counter()
    while time.perf_counter() < begin + 0.2:
        hash_blocks(10)
        count += 10
    return count / (time.perf_counter() - begin)


# scikit-learn has no types: to mypy its classes are `Any` as bases.
class Busy(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fit of `blocks` units of work, and a score that needs none."""

    def __init__(self, blocks: int = 0, candidate: int = 0) -> None:
        self.blocks = blocks
        self.candidate = candidate

    def fit(self, x: Any, y: Any) -> Busy:
        """Compute, without a look at the samples."""
        hash_blocks(self.blocks)
        self.shape_, self.classes_ = x.shape, [y[0], y[-1]]
        return self

    def score(self, x: Any, y: Any) -> float:
        """Return the number of samples."""
        return float(len(x) + len(y)) / 2
