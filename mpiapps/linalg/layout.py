"""Which rank keeps which elements of a matrix: two axes over a grid of ranks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mpiapps.comm.partition import process_grid
from mpiapps.linalg.axis import Axis

BLOCK = 256  # rows and columns: below it, BLAS updates of that rank lose speed


@dataclass(frozen=True)
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
        if not self.ranks:
            object.__setattr__(self, "ranks", tuple(range(places)))
        if len(set(self.ranks)) != places or len(self.ranks) != places:
            raise ValueError(
                f"ranks {self.ranks} must be {places} different ones, one for each"
                f" place of a {self.rows.procs} x {self.cols.procs} grid"
            )

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

    def of_shape(self, m: int, n: int) -> Layout:
        """Return the same distribution for a matrix of another shape. Local."""
        return replace(self, rows=replace(self.rows, n=m), cols=replace(self.cols, n=n))
