"""Redistribution of a matrix to another layout, also transposed."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from mpiapps.comm.block_plan import BlockPlan
from mpiapps.comm.chunking import Array
from mpiapps.device.arrays import like, on_device, to_host
from mpiapps.kernels.transpose import transposed
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.element_moves import Elements, move, put_part
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
    Cost: as `element_moves.move`. A block on a device that changes its layout is moved
    through host memory: one download and one upload.
    """
    if op == "N" and old.matches(new):
        return local
    if op != "N":
        local, old = transposed(local, conjugate=op == "H"), old.T
    if old.matches(new):
        return local
    if on_device(local):
        return like(local, redistribute(comm, to_host(local), old, new))
    result = np.empty(new.local_shape(comm.rank), local.dtype)
    move(comm, Elements.all(local, old), Elements.all(result, new))
    return result


def replicate(comm: MPI.Intracomm, local: Array, layout: Layout) -> Array:
    """Return the whole matrix on every rank; `local` itself on one rank. Collective.

    Cost: one all-gather; on a device also one download and one upload.
    """
    if comm.size == 1 and layout.rows.is_contiguous and layout.cols.is_contiguous:
        return local
    if on_device(local):
        return like(local, replicate(comm, to_host(local), layout))
    sizes = [math.prod(layout.local_shape(rank)) for rank in range(comm.size)]
    blocks = BlockPlan(comm, sizes, (), local.dtype).allgather(local.reshape(-1))
    if layout.cols.procs == 1 and layout.rows.is_contiguous and ascend(layout.ranks):
        return blocks.reshape(layout.shape)
    whole, end = np.empty(layout.shape, local.dtype), 0
    for rank, size in enumerate(sizes):
        if size:
            start, end = end, end + size
            block = blocks[start:end].reshape(layout.local_shape(rank))
            put_part(whole, layout, rank, block)
    return whole


def ascend(ranks: tuple[int, ...]) -> bool:
    """Return whether the ranks of a layout are in ascending order. Local."""
    return all(first < second for first, second in pairwise(ranks))
