"""Random numbers by position: the same on any number of ranks.

A `Stream` has no state. Its word at a position is a pure function of seed, stream,
block and index, so ranks may draw any part of it, in any order, repeatedly or after a
restart. For code that needs one `numpy.random.Generator` per task there are
`spawned_generators` and `jumped_generators`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Stream:
    """The random words of Philox4x32-10 under the key (seed, stream).

    Local; loads no MPI. The generator is a bijection of its 128-bit counter for every
    key (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3, SC11),
    so distinct (block, index) never share a counter. Word k of a block is word
    ``k % 4`` of the output for counter ``(k // 4, block)``, each half 64 bits.

    Parameters
    ----------
    seed, stream : int
        The key, each 32 bits: ``0 <= key < 2**32``.

    Raises
    ------
    TypeError, ValueError
        If a part of the key is not an integer, or outside its range.
    """

    seed: int
    stream: int = 0

    def __post_init__(self) -> None:
        """Raise for keys that do not fit in 32 bits, and would collide."""
        for name, value in (("seed", self.seed), ("stream", self.stream)):
            key = index(value)
            if not 0 <= key < 2**32:
                raise ValueError(f"{name} {key} must be from 0 to 2**32 - 1")
            object.__setattr__(self, name, key)

    def words(self, start: int, count: int, block: int = 0) -> npt.NDArray[np.uint32]:
        """Return words `start` to ``start + count`` of `block`, uint32. Local.

        Raises `ValueError` if the range leaves ``[0, 2**66)`` or the block
        ``[0, 2**64)``.
        """
        from mpiapps.kernels.philox import fill_words

        # Positions go up to 2**66, where NumPy's integers would overflow.
        start, count, block = index(start), index(count), index(block)
        if not (start >= 0 and count >= 0 and start + count <= 2**66):
            raise ValueError(
                f"words {start} to {start + count} must be within 0 to 2**66"
            )
        if not 0 <= block < 2**64:
            raise ValueError(f"block {block} must be from 0 to 2**64 - 1")
        first, skip = divmod(start, 4)
        whole = np.empty(-(-(skip + count) // 4) * 4, np.uint32)
        key = np.uint64(self.seed), np.uint64(self.stream)
        fill_words(*key, np.uint64(first), np.uint64(block), whole)
        return whole[skip : skip + count]

    def uniform(
        self, start: int, count: int, block: int = 0
    ) -> npt.NDArray[np.float64]:
        """Return numbers `start` to ``start + count`` of `block`, in [0, 1). Local.

        Number k consists of the upper 53 bits of words 2k and 2k + 1, and is a multiple
        of 2**-53.
        """
        start, count = index(start), index(count)
        words = self.words(2 * start, 2 * count, block).astype(np.uint64)
        bits = (words[1::2] << np.uint64(32)) | words[::2]
        return np.ldexp((bits >> np.uint64(11)).astype(np.float64), -53)


def spawned_generators(seed: int, tasks: Sequence[int]) -> list[np.random.Generator]:
    """Return independent generators of `tasks`, as of ``SeedSequence.spawn``.

    Local. Task k gets child k of ``SeedSequence(seed)`` on any rank, so a rank creates
    only those of its own tasks. Children collide with probability about
    ``n**2 / 2**128`` for n tasks (NumPy, parallel random number generation).
    """
    seed = index(seed)  # None would give a different seed on each rank
    return [
        np.random.Generator(
            np.random.PCG64DXSM(np.random.SeedSequence(seed, spawn_key=(index(task),)))
        )
        for task in tasks
    ]


def jumped_generators(seed: int, tasks: Sequence[int]) -> list[np.random.Generator]:
    """Return generators of `tasks` on one sequence, 2**128 draws apart.

    Local. Task k starts at NumPy's ``Philox(seed).jumped(k)``: they cannot overlap.
    """
    start = np.random.Philox(index(seed))
    return [np.random.Generator(start.jumped(index(task))) for task in tasks]
