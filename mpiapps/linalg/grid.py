"""Row and column communicators of process grids, cached on the communicator."""

from __future__ import annotations

from typing import Any, cast

from mpiapps.launch.mpi import MPI
from mpiapps.linalg.layout import Layout


class ProcessGrid:
    """The process grid of a layout, with this rank's row and column communicators.

    The rank in `row` is the grid column, the rank in `col` the grid row. Ranks outside
    the grid have `coords` ``None`` and null communicators.
    """

    def __init__(self, comm: MPI.Intracomm, layout: Layout) -> None:
        """Split `comm`. Collective; use `grid_of`, which caches the result."""
        self.coords = layout.coords(comm.rank)
        i, j = self.coords or (MPI.UNDEFINED, MPI.UNDEFINED)
        row = comm.Split(i, 0 if self.coords is None else j)
        col = comm.Split(j, 0 if self.coords is None else i)
        self.row, self.col = cast(MPI.Intracomm, row), cast(MPI.Intracomm, col)

    def free(self) -> None:
        """Free both communicators. Collective over each."""
        for comm in (self.row, self.col):
            if comm != MPI.COMM_NULL:
                comm.Free()


def _free_grids(_comm: MPI.Comm, _key: int, grids: dict[object, ProcessGrid]) -> None:
    for grid in grids.values():
        grid.free()


_KEY = MPI.Comm.Create_keyval(delete_fn=_free_grids)


def grid_of(comm: MPI.Intracomm, layout: Layout) -> ProcessGrid:
    """Return the grid of `layout` on `comm`. Collective at the first call, then local.

    `comm` owns the grid and frees it. Cost: two splits at the first call.
    """
    grids: Any = comm.Get_attr(_KEY)
    if grids is None:
        grids = {}
        comm.Set_attr(_KEY, grids)
    key = layout.grid, layout.ranks
    process_grid: ProcessGrid | None = grids.get(key)
    if process_grid is None:
        process_grid = grids[key] = ProcessGrid(comm, layout)
    return process_grid
