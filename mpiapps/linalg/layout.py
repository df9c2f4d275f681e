"""Layouts: the distribution of a matrix over a process grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from operator import index

from mpiapps.comm.partition import divisors, process_grid
from mpiapps.linalg.axis import Axis

BLOCK = 256  # block size: gemm updates of lower rank are slower
# Percent of the mean number of elements that the largest block may have by default.
MAX_BLOCK_PERCENT = 105


@dataclass(frozen=True, repr=False)
class Layout:
    """A two-dimensional block-cyclic distribution. All methods are local.

    Parameters
    ----------
    rows, cols : Axis
        `procs` of both is the shape of the process grid.
    ranks : tuple of int
        The rank at each position of the grid, row by row; other ranks hold no elements.
        Default: 0, 1, 2, ...
    """

    rows: Axis
    cols: Axis
    ranks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Set the default ranks; check that the ranks fit the grid."""
        size = self.rows.procs * self.cols.procs
        if not self.ranks:
            object.__setattr__(self, "ranks", _first_ranks(size))
            return
        ranks = tuple(map(index, self.ranks))
        object.__setattr__(self, "ranks", ranks)
        if len(set(ranks)) != size or len(ranks) != size or min(ranks) < 0:
            raise ValueError(
                f"ranks {ranks}: expected {size} distinct ranks, one for each position"
                f" of a {self.rows.procs} x {self.cols.procs} grid"
            )

    def __repr__(self) -> str:
        """Return shape, grid, blocks, and the ranks unless they are 0, 1, 2, ..."""
        return self._text

    @cached_property
    def _text(self) -> str:  # cached: every operation compares it over the ranks
        (m, n), (p, q) = self.shape, self.grid
        ranks = "" if self.ranks == tuple(range(p * q)) else f", ranks {self.ranks}"
        blocks = f"{self.rows.block} x {self.cols.block}"
        return f"Layout({m} x {n}, grid {p} x {q}, blocks {blocks}{ranks})"

    @classmethod
    def cyclic(cls, shape: tuple[int, int], size: int, block: int = BLOCK) -> Layout:
        """Return the layout for factorisations: square blocks, block-cyclic."""
        p, q = process_grid(size)
        return cls(Axis(shape[0], block, p), Axis(shape[1], block, q))

    @classmethod
    def balanced(cls, shape: tuple[int, int], size: int) -> Layout:
        """Return the default layout: one contiguous block per rank, on all ranks.

        The grid is the one with the least perimeter of a block, which gives rows of
        tall matrices and columns of wide ones, among those whose largest block is
        within 5 % of an equal share; if there is none, among those with the smallest
        largest block. Of equal grids, the one with more rows.
        """
        return cls.blocks(shape, _balanced_grid(*shape, size))

    @classmethod
    def blocks(cls, shape: tuple[int, int], grid: tuple[int, int]) -> Layout:
        """Return the layout with one contiguous block per rank of `grid`.

        ``grid=(P, 1)`` distributes rows, ``(1, P)`` columns.
        """
        (m, n), (p, q) = map(index, shape), map(index, grid)
        return _blocks(m, n, p, q)

    @classmethod
    def on_one(cls, shape: tuple[int, int], rank: int) -> Layout:
        """Return the layout with all elements on one rank."""
        return _on_one(*map(index, shape), index(rank))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix."""
        return self.rows.n, self.cols.n

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the process grid."""
        return self.rows.procs, self.cols.procs

    @cached_property
    def T(self) -> Layout:  # noqa: N802 - as in NumPy
        """The layout of the transposed matrix, each element on the same rank."""
        p, q = self.grid
        ranks = tuple(self.ranks[i * q + j] for j in range(q) for i in range(p))
        return Layout(self.cols, self.rows, ranks)

    def coords(self, rank: int) -> tuple[int, int] | None:
        """Return the grid coordinates of `rank`, or `None`."""
        if rank not in self.ranks:
            return None
        i, j = divmod(self.ranks.index(rank), self.cols.procs)
        return i, j

    def local_shape(self, rank: int) -> tuple[int, int]:
        """Return the shape of the local block of `rank`."""
        coords = self.coords(rank)
        if coords is None:
            return 0, 0
        return self.rows.count(coords[0]), self.cols.count(coords[1])

    def checked(self, shape: tuple[int, int], size: int) -> Layout:
        """Return the layout if it fits a matrix of `shape` on `size` ranks.

        Raises
        ------
        ValueError
            If it does not fit.
        """
        if self.shape != shape:
            raise ValueError(
                f"the layout has shape {self.shape[0]} x {self.shape[1]}, the matrix"
                f" {shape[0]} x {shape[1]}; use layout.of_shape(m, n)"
            )
        if max(self.ranks) >= size:
            raise ValueError(
                f"the layout's grid {self.grid} needs rank {max(self.ranks)}, but the"
                f" communicator has {size} ranks"
            )
        return self

    def matches(self, other: Layout) -> bool:
        """Return whether all elements are on the same ranks, in the same order."""
        return self == other or (
            self.ranks == other.ranks
            and self.rows.matches(other.rows)
            and self.cols.matches(other.cols)
        )

    def of_shape(self, m: int, n: int) -> Layout:
        """Return the same distribution for another shape."""
        return replace(self, rows=replace(self.rows, n=m), cols=replace(self.cols, n=n))


@lru_cache(maxsize=64)  # layouts of many ranks share one tuple
def _first_ranks(size: int) -> tuple[int, ...]:
    return tuple(range(size))


@lru_cache(maxsize=256)  # results of small operations are made as fast as they
def _blocks(m: int, n: int, p: int, q: int) -> Layout:
    return Layout(Axis.contiguous(m, p), Axis.contiguous(n, q))


@lru_cache(maxsize=256)
def _on_one(m: int, n: int, rank: int) -> Layout:
    return Layout(Axis(m, max(1, m), 1), Axis(n, max(1, n), 1), (rank,))


@lru_cache(maxsize=1024)
def _balanced_grid(m: int, n: int, size: int) -> tuple[int, int]:
    def order(p: int) -> tuple[int, int, int]:
        rows, cols = -(-m // p), -(-n // (size // p))
        percent = 100 * rows * cols * size
        return max(percent, MAX_BLOCK_PERCENT * m * n), rows + cols, -p

    p = min(divisors(size), key=order)
    return p, size // p
