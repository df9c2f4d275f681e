"""Redistribution of a matrix to another layout, also transposed."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from mpiapps.comm.block_plan import BlockPlan
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


def replicate(comm: MPI.Intracomm, local: Array, layout: Layout) -> Array:
    """Return the whole matrix on every rank; `local` itself on one rank. Collective.

    Cost: one all-gather.
    """
    if comm.size == 1 and layout.rows.is_contiguous and layout.cols.is_contiguous:
        return local
    sizes = [math.prod(layout.local_shape(rank)) for rank in range(comm.size)]
    blocks = BlockPlan(comm, sizes, (), local.dtype).allgather(local.reshape(-1))
    if layout.cols.procs == 1 and layout.rows.is_contiguous and _ascend(layout.ranks):
        return blocks.reshape(layout.shape)
    whole, end = np.empty(layout.shape, local.dtype), 0
    for rank, size in enumerate(sizes):
        if size:
            start, end = end, end + size
            block = blocks[start:end].reshape(layout.local_shape(rank))
            whole[own_part(layout, rank)] = block
    return whole


def _ascend(ranks: tuple[int, ...]) -> bool:
    return all(first < second for first, second in pairwise(ranks))


def own_part(layout: Layout, rank: int) -> Any:
    """Return the indices of a rank's block in the whole matrix. Local."""
    return _overlap(Layout.on_one(layout.shape, 0), 0, layout, rank)


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
