"""Functions of matrices that are too small for several ranks, computed by rank 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.redistribute import redistribute

SELF = MPI.COMM_SELF


def on_rank_0(
    function: Callable[..., Any], *matrices: DistMatrix, **options: Any
) -> Any:
    """Return ``function(*matrices, **options)`` of rank 0, else ``None``. Collective.

    There the matrices are on `SELF`; of a matrix that it returns, the result is the
    array. Cost: one gather of each matrix. An error of the function is raised on all
    ranks.
    """
    comm = matrices[0].comm
    with raise_together(comm) as same:
        same(function.__name__, *matrices, *sorted(options), *options.values())
    layouts = [Layout.on_one(matrix.shape, 0) for matrix in matrices]
    wholes = [
        redistribute(comm, matrix.local, matrix.layout, layout)
        for matrix, layout in zip(matrices, layouts, strict=True)
    ]
    with raise_together(comm):
        if comm.rank > 0:
            return None
        parts = zip(layouts, wholes, strict=True)
        own = [DistMatrix(SELF, layout, x, agreed=True) for layout, x in parts]
        result = function(*own, **options)
        return result.local if isinstance(result, DistMatrix) else result


def scattered(
    comm: MPI.Intracomm, whole: Array | None, layout: Layout, dtype: np.dtype[Any]
) -> DistMatrix:
    """Return rank 0's array as a matrix of all ranks, who know its type. Collective."""
    local = np.empty((0, 0), dtype) if whole is None else whole
    one = Layout.on_one(layout.shape, 0)
    return DistMatrix(comm, one, local, agreed=True)._redistributed(layout)
