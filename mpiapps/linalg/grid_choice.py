"""Choice of the process grid that moves the fewest bytes in a product."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import index

import numpy as np

from mpiapps.comm.partition import divisors
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.layout import Layout

# Typical of one core and of one rank's share of a network. Only the ratio matters: it
# weighs idle ranks against the bytes that they save.
FLOPS, BANDWIDTH = 50e9, 5e9  # flop/s, byte/s
MAX_EXHAUSTIVE_RANKS = 1024  # up to this size, all grids are examined
SMOOTH_PRIMES = (2, 3, 5, 7)  # prime factors of the sizes of larger grids


@dataclass(frozen=True)
class Grid:
    """A pm x pn x pk process grid for ``C[m, n] = A[m, k] B[k, n]``.

    Rank ``(l * pm + i) * pn + j`` computes block (i, j) of C over part l of k.
    """

    pm: int
    pn: int
    pk: int = 1

    @property
    def size(self) -> int:
        """Number of ranks in the grid."""
        return self.pm * self.pn * self.pk

    def received_elements(self, m: int, n: int, k: int) -> float:
        """Return the elements that the busiest rank receives, without imbalance.

        ``mk/(pm pk) (1 - 1/pn) + kn/(pk pn) (1 - 1/pm) + mn/(pm pn) (1 - 1/pk)``:
        the panels of A and B that it does not own, and the sums over pk. With pk = 1
        these are SUMMA's (van de Geijn, Watts 1997); in three dimensions those of
        Agarwal et al. 1995 and COSMA (Kwasniewski et al., SC19), whose bound they
        attain when the blocks are cubes.
        """
        pm, pn, pk = self.pm, self.pn, self.pk
        return (
            m * k / (pm * pk) * (1 - 1 / pn)
            + k * n / (pk * pn) * (1 - 1 / pm)
            + m * n / (pm * pn) * (1 - 1 / pk)
        )

    def messages(self) -> int:
        """Return the number of ranks that a rank receives from."""
        return self.pm + self.pn + self.pk - 3

    def memory(self, m: int, n: int, k: int) -> float:
        """Return the elements that a rank holds, without panels."""
        return (m * k + k * n) / self.size + m * n / (self.pm * self.pn)

    def parts(self, m: int, n: int, k: int) -> tuple[int, int, int]:
        """Return rows and columns of C, and part of k, of the busiest rank.

        If pk > 1, a part is a multiple of pm and pn, so that blocks of A and B end at
        its end; this is unbalanced for small k.
        """
        common = math.lcm(self.pm, self.pn) if self.pk > 1 else max(1, k)
        return (
            max(1, -(-m // (self.pm * self.pk))) * self.pk,
            max(1, -(-n // self.pn)),
            max(1, -(-k // (self.pk * common))) * common,
        )

    def seconds(self, m: int, n: int, k: int, itemsize: int) -> float:
        """Return a rough time of the busiest rank, to compare grids."""
        rows, cols, part = self.parts(m, n, k)
        part = min(part, k)
        received = (
            rows * part * (1 - 1 / self.pn)
            + cols * part * (1 - 1 / self.pm)
            + rows * cols * (1 - 1 / self.pk)
        )
        return 2 * rows * cols * part / FLOPS + received * itemsize / BANDWIDTH

    def layouts(self, m: int, n: int, k: int) -> tuple[Layout, Layout, Layout]:
        """Return the layouts of A, B and C that move only `received_elements`."""
        pm, pn, pk = self.pm, self.pn, self.pk
        ranks = np.arange(self.size).reshape(pk, pm, pn)
        flat = tuple(ranks.transpose(1, 0, 2).ravel().tolist())
        rows, col, slab = self.parts(m, n, k)
        row = rows // pk  # of C on one rank, after the sum
        a_cols = Axis(k, max(1, -(-slab // pn)), pk * pn)
        b_rows = Axis(k, max(1, -(-slab // pm)), pk * pm)
        a = Layout(Axis(m, row * pk, pm), a_cols, flat)
        b = Layout(b_rows, Axis(n, col, pn), tuple(range(self.size)))
        c = Layout(Axis(m, row, pm * pk), Axis(n, col, pn), flat)
        return a, b, c

    def fibre_layout(self) -> Layout:
        """Return the layout whose row communicators are the fibres along pk."""
        pm, pn, pk = self.pm, self.pn, self.pk
        ranks = [part * pm * pn + ij for ij in range(pm * pn) for part in range(pk)]
        return Layout(Axis(0, 1, pm * pn), Axis(0, 1, pk), tuple(ranks))


def grids(size: int) -> Iterator[Grid]:
    """Yield grids of at most `size` ranks that leave at most an eighth idle.

    Above `MAX_EXHAUSTIVE_RANKS`, only of `size` ranks and of numbers of ranks without
    a large prime factor: the others have few divisors, and elongated grids.
    """
    for used in range(size - size // 8, size + 1):
        if size <= MAX_EXHAUSTIVE_RANKS or used == size or _is_smooth(used):
            for pm in divisors(used):
                for pn in divisors(used // pm):
                    yield Grid(pm, pn, used // pm // pn)


@cache
def _is_smooth(n: int) -> bool:
    for prime in SMOOTH_PRIMES:
        while n % prime == 0:
            n //= prime
    return n == 1


@lru_cache(maxsize=1024)
def choose_grid(  # noqa: PLR0913, PLR0917 - the sizes of a product have names
    m: int,
    n: int,
    k: int,
    size: int,
    itemsize: int = 8,
    memory: float = math.inf,
) -> Grid:
    """Return the grid of least estimated time, then of fewest messages.

    Parameters
    ----------
    m, n, k : int
        C is m x n, A is m x k.
    size : int
        Number of ranks; up to an eighth may stay idle.
    itemsize : int
        Bytes per element.
    memory : float
        Bytes available on each rank for its parts of A, B and C.

    Raises
    ------
    MemoryError
        If no grid fits.
    """
    m, n, k, size = index(m), index(n), index(k), index(size)
    fitting = [g for g in grids(size) if g.memory(m, n, k) * itemsize <= memory]
    if not fitting:
        least = min(g.memory(m, n, k) for g in grids(size)) * itemsize
        raise MemoryError(
            f"{m} x {k} times {k} x {n} on {size} ranks needs {least:.3g} bytes per"
            f" rank, but {memory:.3g} are available; use more ranks, or more memory"
        )
    # On a tie, prefer more grid rows: gemm is faster on wide blocks.
    return min(
        fitting,
        key=lambda g: (
            *(g.seconds(m, n, k, itemsize), g.messages()),
            *(-g.size, g.pk, -g.pm),
        ),
    )
