"""Redistribution of a matrix to another layout, also transposed."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.kernels.transpose import transposed
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.grid import exchange
from mpiapps.linalg.layout import Layout


def redistribute(
    comm: MPI.Intracomm, local: Array, old: Layout, new: Layout, op: str = "N"
) -> Array:
    """Return the local block of op(A) in the `new` layout. Collective.

    `op` is "N", "T" or "H": unchanged, transposed, or conjugate transposed; `new` has
    the shape of op(A). Both layouts are the same on all ranks. Returns `local` itself
    if op is "N" and the layouts are equal.

    Notes
    -----
    Each element that changes ranks is sent once, in at most one message per pair of
    ranks and GiB. Workspace: the elements that one pair of ranks exchanges.
    """
    if op == "N" and old.matches(new):
        return local
    if op != "N":
        local, old = transposed(local, conjugate=op == "H"), old.T
    if old.matches(new):
        return local
    result = np.empty(new.local_shape(comm.rank), local.dtype)
    for shift in range(comm.size):
        to, source = (comm.rank + shift) % comm.size, (comm.rank - shift) % comm.size
        sent = _overlap(old, comm.rank, new, to)
        received = _overlap(new, comm.rank, old, source)
        out = np.ascontiguousarray(local[sent])
        if shift == 0:
            result[received] = out
            continue
        into = np.empty(result[received].shape, result.dtype)
        exchange(comm, to, out, source, into)
        result[received] = into
    return result


def _overlap(layout: Layout, rank: int, other_layout: Layout, other: int) -> Any:
    """Return the local indices of `rank` that `other` owns in `other_layout`."""
    coords, other_coords = layout.coords(rank), other_layout.coords(other)
    if coords is None or other_coords is None:
        return slice(0, 0), slice(0, 0)
    rows = layout.rows.overlap(coords[0], other_layout.rows, other_coords[0])
    cols = layout.cols.overlap(coords[1], other_layout.cols, other_coords[1])
    if isinstance(rows, np.ndarray) and isinstance(cols, np.ndarray):
        return np.ix_(rows, cols)
    return rows, cols
