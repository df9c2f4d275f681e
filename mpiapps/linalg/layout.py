"""Which rank keeps which elements of a matrix: two axes over a grid of ranks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from operator import index

from mpiapps.comm.partition import process_grid
from mpiapps.linalg.axis import Axis

BLOCK = 256  # rows and columns: below it, BLAS updates of that rank lose speed


@dataclass(frozen=True, repr=False)
class Layout:
    """A two-dimensional block-cyclic distribution. Local; no messages.

    Parameters
    ----------
    rows, cols : Axis
        Their `procs` are the shape of the process grid.
    ranks : tuple of int
        The rank at each place of the grid, row by row; ranks that are not in it keep
        nothing. Default: 0, 1, 2, ...
    """

    rows: Axis
    cols: Axis
    ranks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Fill in the ranks; refuse a list that does not fit the grid."""
        places = self.rows.procs * self.cols.procs
        ranks = tuple(map(index, self.ranks)) or tuple(range(places))
        object.__setattr__(self, "ranks", ranks)
        if len(set(ranks)) != places or len(ranks) != places or min(ranks) < 0:
            raise ValueError(
                f"ranks {ranks} must be {places} different ones, 0 or more, one for"
                f" each place of a {self.rows.procs} x {self.cols.procs} grid"
            )

    def __repr__(self) -> str:
        """Return shape, grid, blocks, and the ranks unless they are 0, 1, 2, ..."""
        return self._text

    @cached_property
    def _text(self) -> str:  # ranks compare it at each operation
        (m, n), (p, q) = self.shape, self.grid
        ranks = "" if self.ranks == tuple(range(p * q)) else f", ranks {self.ranks}"
        blocks = f"{self.rows.block} x {self.cols.block}"
        return f"Layout({m} x {n}, grid {p} x {q}, blocks {blocks}{ranks})"

    @classmethod
    def cyclic(cls, shape: tuple[int, int], size: int, block: int = BLOCK) -> Layout:
        """Return the layout for factorisations: square blocks in turn. Local."""
        p, q = process_grid(size)
        return cls(Axis(shape[0], block, p), Axis(shape[1], block, q))

    @classmethod
    def blocks(cls, shape: tuple[int, int], grid: tuple[int, int]) -> Layout:
        """Return one contiguous block for each rank of a `grid`. Local.

        ``grid=(P, 1)`` are rows, ``(1, P)`` columns.
        """
        return cls(
            Axis.contiguous(shape[0], grid[0]), Axis.contiguous(shape[1], grid[1])
        )

    @classmethod
    def on_one(cls, shape: tuple[int, int], rank: int) -> Layout:
        """Return the layout in which one rank keeps all. Local."""
        m, n = shape
        return cls(Axis(m, max(1, m), 1), Axis(n, max(1, n), 1), (rank,))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix."""
        return self.rows.n, self.cols.n

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the process grid."""
        return self.rows.procs, self.cols.procs

    @property
    def T(self) -> Layout:  # noqa: N802 - as in NumPy
        """The layout of the transposed matrix, each element on the same rank."""
        p, q = self.grid
        turned = tuple(self.ranks[i * q + j] for j in range(q) for i in range(p))
        return Layout(self.cols, self.rows, turned)

    def coords(self, rank: int) -> tuple[int, int] | None:
        """Return where in the grid `rank` is, or `None`. Local."""
        if rank not in self.ranks:
            return None
        i, j = divmod(self.ranks.index(rank), self.cols.procs)
        return i, j

    def local_shape(self, rank: int) -> tuple[int, int]:
        """Return the shape of what `rank` keeps. Local."""
        found = self.coords(rank)
        if found is None:
            return 0, 0
        return self.rows.count(found[0]), self.cols.count(found[1])

    def checked(self, shape: tuple[int, int], size: int) -> Layout:
        """Return itself if it is a layout of `shape` on `size` ranks. Local.

        Raises
        ------
        ValueError
            If it is not.
        """
        if self.shape != shape:
            raise ValueError(
                f"the layout is of {self.shape[0]} x {self.shape[1]}, and the matrix is"
                f" {shape[0]} x {shape[1]}; layout.of_shape(m, n) makes it fit"
            )
        if max(self.ranks) >= size:
            raise ValueError(
                f"the layout's grid {self.grid} needs rank {max(self.ranks)}, and the"
                f" communicator has {size}"
            )
        return self

    def of_shape(self, m: int, n: int) -> Layout:
        """Return the same distribution for a matrix of another shape. Local."""
        return replace(self, rows=replace(self.rows, n=m), cols=replace(self.cols, n=n))
