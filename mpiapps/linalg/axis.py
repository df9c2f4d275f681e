"""One axis of a block-cyclic distribution: the owner of each index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import index
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Index = TypeVar("Index", int, npt.NDArray[np.int64])


@dataclass(frozen=True)
class Axis:
    """`n` indices in blocks of `block`, distributed cyclically over `procs` processes.

    This is ScaLAPACK's block-cyclic distribution with the first block on coordinate 0
    (ScaLAPACK Users' Guide, section 4.3). With ``block * procs >= n``
    every coordinate has one contiguous block.

    `n` is 0 or more, `block` and `procs` are 1 or more; otherwise `TypeError` or
    `ValueError` is raised.
    """

    n: int
    block: int
    procs: int

    def __post_init__(self) -> None:
        """Convert to Python integers, which do not overflow; check the ranges."""
        for name in ("n", "block", "procs"):
            value = getattr(self, name)
            if type(value) is not int:
                object.__setattr__(self, name, index(value))
        if self.n < 0 or self.block < 1 or self.procs < 1:
            raise ValueError(
                f"an axis of {self.n} indices in blocks of {self.block} over"
                f" {self.procs} processes: need at least 0, 1 and 1"
            )

    @classmethod
    def contiguous(cls, n: int, procs: int) -> Axis:
        """Return an axis of one contiguous block for each coordinate."""
        n, procs = index(n), index(procs)
        return cls(n, max(1, -(-n // max(1, procs))), procs)

    @property
    def is_contiguous(self) -> bool:
        """Whether the indices of every coordinate are contiguous."""
        return self.procs == 1 or self.block * self.procs >= self.n

    def matches(self, other: Axis) -> bool:
        """Return whether all indices have the same owners; block sizes may differ."""
        if self.n != other.n or self.procs != other.procs:
            return False
        return self.procs == 1 or self.block == other.block

    def count(self, coord: int) -> int:
        """Return the number of indices that `coord` owns (ScaLAPACK's NUMROC)."""
        return self.count_below(self.n, coord)

    def owner(self, index: Index) -> Index:
        """Return the coordinate that owns `index` (ScaLAPACK's INDXG2P)."""
        return index // self.block % self.procs

    def local(self, index: Index) -> Index:
        """Return the local index of `index` on its owner (ScaLAPACK's INDXG2L)."""
        return index // self.block // self.procs * self.block + index % self.block

    def count_below(self, index: Index, coord: int) -> Index:
        """Return the number of indices below `index` that `coord` owns."""
        blocks, rest = index // self.block, index % self.block
        per_coord, extra = blocks // self.procs, blocks % self.procs
        full = (per_coord + (coord < extra)) * self.block
        return full + rest * (coord == extra)

    def span(self, coord: int) -> range:
        """Return the indices of `coord` if the axis `is_contiguous`."""
        if self.procs == 1:
            return range(self.n)
        start = min(coord * self.block, self.n)
        return range(start, min(start + self.block, self.n))

    def runs(self, coord: int) -> Iterator[range]:
        """Yield the blocks of contiguous indices that `coord` owns, in order."""
        step = self.block * self.procs
        for start in range(coord * self.block, self.n, step):
            yield range(start, min(start + self.block, self.n))

    def indices(self, coord: int) -> npt.NDArray[np.int64]:
        """Return the indices that `coord` owns, int64, ascending."""
        if self.is_contiguous:
            span = self.span(coord)
            return np.arange(span.start, span.stop, dtype=np.int64)
        step = self.block * self.procs
        starts = np.arange(coord * self.block, self.n, step, dtype=np.int64)
        blocks = starts[:, None] + np.arange(self.block, dtype=np.int64)
        return blocks.reshape(-1)[: self.count(coord)]

    def overlap(
        self, coord: int, other: Axis, other_coord: int
    ) -> slice | npt.NDArray[np.int64]:
        """Return the local indices of `coord` that `other_coord` owns on `other`.

        A slice if they are contiguous, which NumPy copies fastest.
        """
        if self.matches(other):
            return slice(0, self.count(coord) if coord == other_coord else 0)
        if self.is_contiguous and other.is_contiguous:
            own, others = self.span(coord), other.span(other_coord)
            start, stop = max(own.start, others.start), min(own.stop, others.stop)
            return slice(start - own.start, max(start, stop) - own.start)
        local = np.flatnonzero(other.owner(self.indices(coord)) == other_coord)
        if local.size == 0:
            return slice(0, 0)
        first, last = int(local[0]), int(local[-1])
        if last - first + 1 == local.size:
            return slice(first, last + 1)
        return local

    def common(self, coord: int, other: Axis, other_coord: int) -> int:
        """Return how many indices of `coord` are those of `other_coord` on `other`."""
        if self.matches(other):
            return self.count(coord) if coord == other_coord else 0
        if other.is_contiguous and not self.is_contiguous:
            return other.common(other_coord, self, coord)
        count = other.count_below
        if self.is_contiguous:
            span = self.span(coord)
            return count(span.stop, other_coord) - count(span.start, other_coord)
        starts = np.arange(coord * self.block, self.n, self.block * self.procs)
        stops = np.minimum(starts + self.block, self.n)
        return int((count(stops, other_coord) - count(starts, other_coord)).sum())
