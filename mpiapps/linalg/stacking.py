"""Values of the ranks, gathered as rows that are then reduced."""

from __future__ import annotations

import numpy as np

from mpiapps.comm.block_plan import BlockPlan
from mpiapps.comm.chunking import Array
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.redistribute import ascend


def stacked(a: DistMatrix, local_values: Array, axis: int | None) -> Array:
    """Return the local values of all ranks, as rows that are then reduced. Collective.

    Parameters
    ----------
    a : DistMatrix, m x n
    local_values : ndarray
        A value per local column (axis 0), per local row (axis 1), or one; values may be
        arrays, of the same shape and dtype on all ranks.
    axis : {None, 0, 1}

    Returns
    -------
    ndarray, shape (k, n, ...) for axis 0, (k, m, ...) for axis 1, (k, ...) for no axis
        For k process rows, process columns, or ranks with elements, in rank order.
        Cost: one all-gather.
    """
    layout = a.layout
    shapes = [layout.local_shape(rank) for rank in range(a.comm.size)]
    counts = [
        0 if 0 in shape else 1 if axis is None else shape[1 - axis] for shape in shapes
    ]
    own = np.atleast_1d(local_values)[: counts[a.comm.rank]]
    shape = own.shape[1:]
    gathered = BlockPlan(a.comm, counts, shape, own.dtype).allgather(own)
    if axis is None:
        return gathered
    across = (layout.cols, layout.rows)[axis]
    k, n = sum(counts) // max(1, across.n), across.n
    if 1 in layout.grid and across.is_contiguous and ascend(layout.ranks):
        return gathered.reshape(k, n, *shape)
    result = np.empty((k, n, *shape), own.dtype)
    rows: dict[int, int] = {}  # process row or column -> row of the result
    ends = np.cumsum(counts)
    for rank, count in enumerate(counts):
        coords = layout.coords(rank)
        if coords is not None and count:
            row = rows.setdefault(coords[axis], len(rows))
            part = gathered[ends[rank] - count : ends[rank]]
            result[row, across.indices(coords[1 - axis])] = part
    return result
