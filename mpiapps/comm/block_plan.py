"""Scatter, gather and allgather of blocks of rows with a fixed layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.comm import chunking
from mpiapps.comm.chunking import Array, as_bytes, bcast_bytes, iter_chunks
from mpiapps.comm.consistency import checked_root
from mpiapps.comm.partition import blocks, counts_displs
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.launch.mpi import MPI

Spec = list[Any]  # mpi4py's buffer specification: array, counts, displs, type
Transfer = Callable[[Array, int], None]
Specs = tuple[Spec, Any]  # of a block, and of the whole array if this rank has it


class BlockPlan:
    """The distribution of the rows of an array over ranks, and its collectives.

    Local to create: every rank passes the same arguments. Rank r holds ``counts[r]``
    rows, 0 or more, each of shape `row_shape`; the blocks are in rank order. A block or
    array that does not fit the plan raises `ValueError` on its rank, before any
    message.

    Parameters
    ----------
    comm : MPI.Intracomm
        The ranks.
    counts : sequence of int, or int
        Rows of each rank, or the number of all rows, for balanced blocks.
    row_shape : tuple of int
        Shape of one row; ``()`` for a 1-D array.
    dtype : dtype
        Any NumPy dtype without Python objects, including structured ones, dates and
        foreign byte orders.
    root : int
        The root of `scatter` and `gather`.

    Notes
    -----
    Cost: `scatter` and `gather` send each block once from or to the root, `allgather`
    sends all blocks to all ranks; up to 1 GiB in total each is one call of Scatterv,
    Gatherv or Allgatherv, above it messages of at most 1 GiB. A contiguous array is
    sent without a copy, a strided one is copied first. A plan keeps the arrays of its
    last call, and does not check them again if the next call has the same ones.
    """

    def __init__(
        self,
        comm: Ranks,
        counts: Sequence[int] | int,
        row_shape: tuple[int, ...] = (),
        dtype: npt.DTypeLike = np.float64,
        root: int = 0,
    ) -> None:
        """Compute counts and displacements in bytes. Local."""
        comm = communicator(comm)
        if isinstance(counts, int | np.integer):
            counts, _ = counts_displs(blocks(int(counts), comm.size))
        counts = [index(count) for count in counts]  # NumPy's integers would overflow
        if len(counts) != comm.size or min(counts) < 0:
            raise ValueError(
                f"counts {counts} must be {comm.size} integers, 0 or more: the"
                " rows of each rank"
            )
        self.comm, self.root = comm, checked_root(comm, root)
        self.dtype = chunking.checked_dtype(dtype)
        self.counts = counts
        self.row_shape = tuple(map(index, row_shape))
        self.shape = (sum(counts), *self.row_shape)
        self.block_shape = (self.counts[comm.rank], *self.row_shape)
        row = self.dtype.itemsize * math.prod(self.row_shape)
        self._bytes = [count * row for count in self.counts]
        self._displs = [0, *accumulate(self._bytes)][:-1]
        self._large = sum(self._bytes) > chunking.MAX_MESSAGE_BYTES
        self._is_root = comm.rank == self.root
        # The arrays of the last call, if they need no copy, and their specifications.
        self._last: tuple[object, object] = (self, self)  # not arrays
        self._last_specs: Specs = ([], None)

    def scatter(self, array: Array | None, out: Array | None = None) -> Array:
        """Return this rank's block of the root's `array`. Collective.

        `array` is used on the root only; `out` receives the block if given.
        """
        if not self._is_root:
            array = None
        if out is None:
            out = np.empty(self.block_shape, self.dtype)
        part, whole = self._specs(out, array, sends_block=False)
        if self._large:
            self._transfer_large(part, whole, scatters=True)
        else:
            self.comm.Scatterv(whole, part, self.root)
        return out

    def gather(self, block: Array, out: Array | None = None) -> Array | None:
        """Return the array of all blocks on the root, `None` elsewhere. Collective."""
        if not self._is_root:
            out = None
        elif out is None:
            out = np.empty(self.shape, self.dtype)
        part, whole = self._specs(block, out, sends_block=True)
        if self._large:
            self._transfer_large(part, whole, scatters=False)
        else:
            self.comm.Gatherv(part, whole, self.root)
        return out

    def allgather(self, block: Array, out: Array | None = None) -> Array:
        """Return the array of all blocks on every rank. Collective."""
        if out is None:
            out = np.empty(self.shape, self.dtype)
        part, whole = self._specs(block, out, sends_block=True)
        if self._large:
            self._allgather_large(part, whole)
        else:
            self.comm.Allgatherv(part, whole)
        return out

    def _specs(self, block: Array, whole: Array | None, *, sends_block: bool) -> Specs:
        """Return mpi4py's buffer specifications of a block and of the whole array.

        The send buffer may be strided, and is then copied; the receive buffer may not.
        """
        if block is self._last[0] and whole is self._last[1]:
            return self._last_specs
        part = self._fitting(block, self.block_shape, may_copy=sends_block)
        rows = whole
        if whole is not None or (self._is_root and not sends_block):
            rows = self._fitting(whole, self.shape, may_copy=not sends_block)
        specs: Specs = (
            [self._plain(part), self._bytes[self.comm.rank], MPI.BYTE],
            None
            if rows is None
            else [self._plain(rows), self._bytes, self._displs, MPI.BYTE],
        )
        if part is block and rows is whole:
            self._last, self._last_specs = (block, whole), specs
        return specs

    def _fitting(
        self, array: Array | None, shape: tuple[int, ...], *, may_copy: bool
    ) -> Array:
        """Return `array` if it is C-contiguous, or a copy that is, or raise."""
        if array is not None and array.shape == shape and array.dtype == self.dtype:
            if array.flags.c_contiguous:
                return array
            if may_copy:
                return np.ascontiguousarray(array)
        have = "None" if array is None else f"{array.dtype} {array.shape}"
        name, order = (
            ("the array to send", "") if may_copy else ("out", "C-contiguous ")
        )
        raise ValueError(
            f"{name} is {have}; this plan needs {order}{self.dtype} {shape} on rank"
            f" {self.comm.rank} of {self.comm.size}"
        )

    def _plain(self, array: Array) -> Array:
        """Return `array` as a type that exports a buffer, which dates do not."""
        return array.view(np.int64) if self.dtype.kind in "mM" else array

    def _blocks_of(self, whole: Spec) -> list[npt.NDArray[np.uint8]]:
        """Return the bytes of each rank in the whole array."""
        data = as_bytes(whole[0])
        ends = zip(self._displs, self._bytes, strict=True)
        return [data[start : start + length] for start, length in ends]

    def _transfer_large(
        self, part: Spec, whole: Spec | None, *, scatters: bool
    ) -> None:
        """Scatter or gather the blocks in messages of at most 1 GiB. Collective."""
        calls: list[Transfer] = [self.comm.Send, self.comm.Recv]
        of_root, of_others = calls if scatters else calls[::-1]
        if whole is None:
            for chunk in iter_chunks(part[0]):
                of_others(chunk, self.root)
            return
        for rank, block in enumerate(self._blocks_of(whole)):
            if rank == self.root:
                own = as_bytes(part[0])
                np.copyto(*((own, block) if scatters else (block, own)))
                continue
            for chunk in iter_chunks(block):
                of_root(chunk, rank)

    def _allgather_large(self, part: Spec, whole: Spec) -> None:
        for rank, block in enumerate(self._blocks_of(whole)):
            if rank == self.comm.rank:
                block[:] = as_bytes(part[0])
            bcast_bytes(self.comm, block, rank)
