"""Communicators along the rows and columns of a process grid, made once and kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from mpiapps.comm.cut import Array, pieces
from mpiapps.comm.mpi import MPI
from mpiapps.linalg.layout import Layout


class ProcessGrid:
    """The ranks of a layout as a grid; `row` and `col` are this rank's communicators.

    In `row` a rank's number is its column in the grid, in `col` its row. Ranks that are
    not in the grid have `coords` ``None`` and null communicators.
    """

    def __init__(self, comm: MPI.Intracomm, layout: Layout) -> None:
        """Split `comm`. Collective; use `grid_of`, which does it once."""
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


def _forget(_comm: MPI.Comm, _key: int, grids: dict[object, ProcessGrid]) -> None:
    for grid in grids.values():
        grid.free()


_KEY = MPI.Comm.Create_keyval(delete_fn=_forget)


def grid_of(comm: MPI.Intracomm, layout: Layout) -> ProcessGrid:
    """Return the grid of `layout` on `comm`. Collective at first, then local.

    It belongs to `comm`, and is freed with it. Cost: two splits at the first call.
    """
    grids: Any = comm.Get_attr(_KEY)
    if grids is None:
        grids = {}
        comm.Set_attr(_KEY, grids)
    key = layout.grid, layout.ranks
    found: ProcessGrid | None = grids.get(key)
    if found is None:
        found = grids[key] = ProcessGrid(comm, layout)
    return found


def exchange(comm: MPI.Comm, to: int, out: Array, source: int, into: Array) -> None:
    """Send `out` to one rank and receive `into` from another. Collective.

    Both C-contiguous; empty ones cost nothing. Messages of at most 1 GiB.
    """
    requests = [comm.Irecv(each, source=source) for each in _sent(into)]
    requests += [comm.Isend(each, dest=to) for each in _sent(out)]
    MPI.Request.Waitall(requests)


def _sent(array: Array) -> Iterator[npt.NDArray[np.uint8]]:
    return pieces(array) if array.size else iter(())
