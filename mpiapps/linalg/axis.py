"""One axis of a matrix: which of its indices each process coordinate owns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import index

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Axis:
    """`n` indices, dealt in blocks of `block` to `procs` process coordinates in turn.

    Local; no messages. This is ScaLAPACK's block-cyclic distribution with the first
    block on coordinate 0 (its users' guide, section 4.3). With ``block * procs >= n``
    every coordinate has one contiguous block.

    Parameters
    ----------
    n : int
        Number of indices, 0 or more.
    block, procs : int
        1 or more.

    Raises
    ------
    TypeError, ValueError
        If one of them is not an integer, or too small.
    """

    n: int
    block: int
    procs: int

    def __post_init__(self) -> None:
        """Make them Python's integers, which do not overflow; refuse small ones."""
        for name in ("n", "block", "procs"):
            value = getattr(self, name)
            if type(value) is not int:
                object.__setattr__(self, name, index(value))
        if self.n < 0 or self.block < 1 or self.procs < 1:
            raise ValueError(
                f"an axis of {self.n} indices in blocks of {self.block} over"
                f" {self.procs} processes: expected at least 0, 1 and 1"
            )

    @classmethod
    def contiguous(cls, n: int, procs: int) -> Axis:
        """Return an axis of one contiguous block for each coordinate. Local."""
        n, procs = index(n), index(procs)
        return cls(n, max(1, -(-n // max(1, procs))), procs)

    def count(self, coord: int) -> int:
        """Return how many indices `coord` owns. Local; ScaLAPACK's NUMROC."""
        whole, rest = divmod(self.n, self.block)
        mine, extra = divmod(whole, self.procs)
        own = (mine + (coord < extra)) * self.block
        return own + (rest if coord == extra else 0)

    def owner(self, index: int) -> int:
        """Return the coordinate that owns `index`. Local."""
        return index // self.block % self.procs

    def local(self, index: int) -> int:
        """Return where its owner keeps `index`. Local."""
        return index // self.block // self.procs * self.block + index % self.block

    def locals(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return where their owners keep each of `indices`. Local."""
        return indices // self.block // self.procs * self.block + indices % self.block

    def below(self, index: int, coord: int) -> int:
        """Return how many of the indices below `index` are of `coord`. Local."""
        return Axis(index, self.block, self.procs).count(coord)

    def runs(self, coord: int) -> Iterator[range]:
        """Yield the runs of neighbouring indices that `coord` owns, in order. Local."""
        step = self.block * self.procs
        for start in range(coord * self.block, self.n, step):
            yield range(start, min(start + self.block, self.n))

    def indices(self, coord: int) -> npt.NDArray[np.int64]:
        """Return the indices that `coord` owns, int64, ascending. Local."""
        local = np.arange(self.count(coord), dtype=np.int64)
        return (local // self.block * self.procs + coord) * self.block + (
            local % self.block
        )

    def shared(
        self, coord: int, other: Axis, there: int
    ) -> slice | npt.NDArray[np.int64]:
        """Return where `coord` keeps what is `there`'s on the `other` axis. Local.

        A slice where its places are neighbours, which NumPy copies fastest.
        """
        mine = self.indices(coord)
        places = np.flatnonzero(mine // other.block % other.procs == there)
        if places.size == 0:
            return slice(0, 0)
        first, last = int(places[0]), int(places[-1])
        if last - first + 1 == places.size:
            return slice(first, last + 1)
        return places
