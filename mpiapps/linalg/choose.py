"""Which process grid multiplies two matrices with the fewest bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import index

import numpy as np

from mpiapps.linalg.axis import Axis
from mpiapps.linalg.layout import Layout

# Typical of one core and of one rank's share of a network; only their quotient counts,
# where it decides whether idle ranks are worth the bytes they save.
FLOPS, BANDWIDTH = 50e9, 5e9  # flop/s, byte/s
FEW = 1024  # ranks up to which all grids are looked at
SMOOTH = (2, 3, 5, 7)  # prime factors of the numbers of ranks that grids are made of


@dataclass(frozen=True)
class Grid:
    """A pm x pn x pk grid for ``C[m, n] = A[m, k] B[k, n]``. Local; no messages.

    Rank ``(l * pm + i) * pn + j`` works on rows i and columns j of C, with part l of k.
    """

    pm: int
    pn: int
    pk: int = 1

    @property
    def size(self) -> int:
        """Number of ranks that work."""
        return self.pm * self.pn * self.pk

    def words(self, m: int, n: int, k: int) -> float:
        """Return how many elements the busiest rank receives, at least. Local.

        ``mk/(pm pk) (1 - 1/pn) + kn/(pk pn) (1 - 1/pm) + mn/(pm pn) (1 - 1/pk)``:
        its parts of A and B less what it keeps, and the sums over pk. With pk = 1 these
        are SUMMA's (van de Geijn, Watts 1997); in three dimensions those of Agarwal et
        al. 1995 and COSMA (Kwasniewski et al., SC19), whose bound they attain when the
        blocks are cubes.
        """
        pm, pn, pk = self.pm, self.pn, self.pk
        return (
            m * k / (pm * pk) * (1 - 1 / pn)
            + k * n / (pk * pn) * (1 - 1 / pm)
            + m * n / (pm * pn) * (1 - 1 / pk)
        )

    def messages(self) -> int:
        """Return how many other ranks a rank hears from. Local."""
        return self.pm + self.pn + self.pk - 3

    def memory(self, m: int, n: int, k: int) -> float:
        """Return the elements that a rank holds at once, without panels. Local."""
        return (m * k + k * n) / self.size + m * n / (self.pm * self.pn)

    def parts(self, m: int, n: int, k: int) -> tuple[int, int, int]:
        """Return rows and columns of C, and part of k, of the busiest rank. Local.

        Where k is in parts, each is a multiple of pm and of pn, so that A's and B's
        blocks end with it: uneven where k is small.
        """
        common = math.lcm(self.pm, self.pn) if self.pk > 1 else max(1, k)
        return (
            max(1, -(-m // (self.pm * self.pk))) * self.pk,
            max(1, -(-n // self.pn)),
            max(1, -(-k // (self.pk * common))) * common,
        )

    def seconds(self, m: int, n: int, k: int, itemsize: int) -> float:
        """Return a rough time of the busiest rank, to compare grids by. Local."""
        rows, cols, part = self.parts(m, n, k)
        part = min(part, k)
        words = (
            rows * part * (1 - 1 / self.pn)
            + cols * part * (1 - 1 / self.pm)
            + rows * cols * (1 - 1 / self.pk)
        )
        return 2 * rows * cols * part / FLOPS + words * itemsize / BANDWIDTH

    def layouts(self, m: int, n: int, k: int) -> tuple[Layout, Layout, Layout]:
        """Return the layouts of A, B and C in which only `words` move. Local."""
        pm, pn, pk = self.pm, self.pn, self.pk
        places = np.arange(self.size).reshape(pk, pm, pn)
        flat = tuple(places.transpose(1, 0, 2).ravel().tolist())

        rows, col, slab = self.parts(m, n, k)
        row = rows // pk  # of C that one rank keeps in the end
        a = Layout(
            Axis(m, row * pk, pm),
            Axis(k, max(1, -(-slab // pn)), pk * pn),
            flat,
        )
        b = Layout(
            Axis(k, max(1, -(-slab // pm)), pk * pm),
            Axis(n, col, pn),
            tuple(range(self.size)),
        )
        c = Layout(
            Axis(m, row, pm * pk),
            Axis(n, col, pn),
            flat,
        )
        return a, b, c

    def towers(self) -> Layout:
        """Return a grid whose rows are the ranks with one part of C. Local."""
        pm, pn, pk = self.pm, self.pn, self.pk
        ranks = [part * pm * pn + ij for ij in range(pm * pn) for part in range(pk)]
        return Layout(Axis(0, 1, pm * pn), Axis(0, 1, pk), tuple(ranks))


def grids(size: int) -> Iterator[Grid]:
    """Yield grids of at most `size` ranks that leave few idle. Local.

    Of more than `FEW` ranks, where there are numbers enough, only `size` itself and
    those without a large prime factor: others have few divisors, and grids that are
    long and thin.
    """
    for used in range(size - size // 8, size + 1):
        if size <= FEW or used == size or _is_smooth(used):
            for pm in _divisors(used):
                for pn in _divisors(used // pm):
                    yield Grid(pm, pn, used // pm // pn)


@cache
def _is_smooth(n: int) -> bool:
    for prime in SMOOTH:
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
    """Return the cheapest grid for bytes, then for messages. Local; no messages.

    Parameters
    ----------
    m, n, k : int
        C is m x n, A is m x k.
    size : int
        Ranks; up to an eighth of them may be left idle.
    itemsize : int
        Bytes of an element.
    memory : float
        Bytes that each rank has for its parts of A, B and C.

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
            f"{m} x {k} times {k} x {n} on {size} ranks needs {least:.3g} bytes a rank,"
            f" and there are {memory:.3g}; use more ranks, or more memory for each"
        )
    # Of equals, the one with more rows of ranks: BLAS multiplies wide parts faster.
    return min(
        fitting,
        key=lambda g: (
            *(g.seconds(m, n, k, itemsize), g.messages()),
            *(-g.size, g.pk, -g.pm),
        ),
    )


@cache
def _divisors(n: int) -> list[int]:
    small = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small)})
