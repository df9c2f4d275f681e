"""Scatter, gather, allgather and bcast of arrays: uneven, empty, strided, above 2 GiB.

Each call first sends a header (dtype, shape, counts), so that the receivers need no
arguments, and an array that cannot be sent raises the same error on all ranks instead
of leaving the others in a collective: `TypeError` or `ValueError` for no array, a dtype
with objects, blocks or counts that do not fit, or roots that differ between ranks. For
many calls with one layout, `mpiapps.comm.block_plan.BlockPlan` does the same without
the header.

Cost of each call: one all-reduce of 24 bytes, one broadcast or all-gather of a header
of about 100 bytes per rank, then each row once, in messages of at most 1 GiB.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

import numpy as np

from mpiapps.comm.block_plan import BlockPlan
from mpiapps.comm.chunking import Array, bcast_bytes, checked_dtype
from mpiapps.comm.consistency import checked_root, raise_together
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.launch.mpi import MPI


def scatter(
    comm: Ranks,
    array: Array | None,
    counts: Sequence[int] | None = None,
    root: int = 0,
) -> Array:
    """Return this rank's rows of the root's array, C-contiguous. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm or World
    array : ndarray or None
        On the root: at least 1-D, of any dtype without objects, in any memory order.
        Ignored elsewhere.
    counts : sequence of int, optional
        Root only: the rows of each rank, summing to ``len(array)``. Default is
        balanced blocks (`mpiapps.comm.partition.block`).
    root : int
    """
    comm = communicator(comm)
    header = None
    with raise_together(comm) as same:
        root = checked_root(comm, root)
        same("scatter", root)
        if comm.rank == root:
            array = plain_array(array, min_ndim=1)
            n = array.shape[0]
            if counts is not None:
                counts = [index(count) for count in counts]
                if (sum(counts), len(counts)) != (n, comm.size) or min(counts) < 0:
                    raise ValueError(
                        f"counts {counts} must be {comm.size} numbers of rows, 0 or"
                        f" more, that sum to the array's {n}"
                    )
            rows = n if counts is None else counts
            header = (rows, array.shape[1:], array.dtype)
    rows, row_shape, dtype = comm.bcast(header, root=root)
    return BlockPlan(comm, rows, row_shape, dtype, root).scatter(array)


def gather(comm: Ranks, block: Array, root: int = 0) -> Array | None:
    """Return the blocks of all ranks, in rank order, on the root. Collective.

    Returns `None` on other ranks.

    Parameters
    ----------
    comm : MPI.Intracomm or World
    block : ndarray
        This rank's rows: at least 1-D, 0 or more rows; the same dtype and row shape on
        all ranks.
    root : int
    """
    comm = communicator(comm)
    return _agreed_plan(comm, block, root, "gather").gather(block)


def allgather(comm: Ranks, block: Array) -> Array:
    """Return the blocks of all ranks on every rank. Collective; as `gather`."""
    comm = communicator(comm)
    return _agreed_plan(comm, block, 0, "allgather").allgather(block)


def bcast(comm: Ranks, array: Array | None, root: int = 0) -> Array:
    """Return the root's array on every rank. Collective.

    The array itself on the root, a C-contiguous copy elsewhere.

    Parameters
    ----------
    comm : MPI.Intracomm or World
    array : ndarray or None
        On the root: any shape, including 0-D, any dtype without objects, any memory
        order. Ignored elsewhere.
    root : int
    """
    comm = communicator(comm)
    header = None
    with raise_together(comm) as same:
        root = checked_root(comm, root)
        same("bcast", root)
        if comm.rank == root:
            array = plain_array(array)
            header = (array.shape, array.dtype)
    shape, dtype = comm.bcast(header, root=root)
    if comm.rank != root:
        array = np.empty(shape, dtype)
        bcast_bytes(comm, array, root)
        return array
    whole = plain_array(array)
    bcast_bytes(comm, np.ascontiguousarray(whole), root)
    return whole


def plain_array(array: Array | None, min_ndim: int = 0) -> Array:
    """Return `array`, or raise if it cannot be sent as bytes. Local."""
    if not isinstance(array, np.ndarray):
        remedy = "convert it with np.asarray"
        if not isinstance(array, list | tuple | int | float | complex | np.generic):
            remedy = "send other objects with world.objects, like mpi4py's bcast"
        raise TypeError(f"array is a {type(array).__name__}; {remedy}")
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("array is masked, and its mask would be lost; fill it first")
    if array.ndim < min_ndim:
        raise ValueError("array is 0-D: it has no rows to scatter; use bcast instead")
    checked_dtype(array.dtype)
    return array


def _agreed_plan(comm: MPI.Intracomm, block: Array, root: int, call: str) -> BlockPlan:
    """Return the plan of the blocks of all ranks; raise on all if inconsistent."""
    with raise_together(comm) as same:
        root = checked_root(comm, root)
        same(call, root)
        block = plain_array(block, min_ndim=1)
    headers = comm.allgather((block.shape[0], block.shape[1:], block.dtype))
    rows, row_shapes, dtypes = zip(*headers, strict=True)
    for rank, (_, row_shape, dtype) in enumerate(headers):
        if (row_shape, dtype) != (row_shapes[0], dtypes[0]):
            raise ValueError(
                f"the blocks differ: rank 0 has rows of {dtypes[0]} {row_shapes[0]},"
                f" rank {rank} of {dtype} {row_shape}; all blocks, including empty"
                " ones, need the same dtype and row shape"
            )
    return BlockPlan(comm, rows, row_shapes[0], dtypes[0], root)
