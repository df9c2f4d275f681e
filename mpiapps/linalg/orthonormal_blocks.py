"""Blocks of orthonormal columns, distributed by rows, for Krylov methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.launch.mpi import MPI

NEWTON_STEPS = 6  # each squares the distance from orthonormality


class OrthonormalBlocks:
    """Orthonormal blocks of the products of an operator. Local to make.

    Parameters
    ----------
    comm : MPI.Intracomm
    dtype : dtype
        Of the blocks.
    rounding : float
        Rounding error of a product, relative to the norm of the operator. Directions
        of a block that are below it leave the block.

    Attributes
    ----------
    kind : dtype
        Of small matrices: float64 or complex128.
    norm : float
        Estimate of the norm of the operator, on rank 0.

    Notes
    -----
    Rank 0 decides about the width of a block, and sends its decision: ranks that
    compute the same number may differ in its last bits.
    """

    def __init__(
        self, comm: MPI.Intracomm, dtype: np.dtype[Any], rounding: float
    ) -> None:
        self._comm, self._rounding = comm, rounding
        self.kind = np.result_type(dtype, float)
        self.norm = 0.0

    @property
    def smallest(self) -> float:
        """The size of rounding errors of a product, on rank 0."""
        return self._rounding * self.norm

    def first(self, block: Array) -> tuple[Array, Array]:
        """Return Q and R of a block that is not a product. Collective."""
        found = self._orthonormal(block)
        self.norm = 0.0
        return found

    def split(self, basis: Array, product: Array) -> tuple[Array, Array, Array]:
        """Return Q, C and R: ``product = basis C + Q R``. Collective.

        Q is orthonormal, also to the basis, and has no more columns than `product`,
        which is overwritten.
        """
        inner = self.inner(basis, product)
        product -= basis @ inner.astype(product.dtype)
        largest = np.linalg.norm(inner, axis=0).max(initial=0)
        self.norm = max(self.norm, float(largest))
        block, coupling = self._orthonormal(product)
        block, change, factor = self._reorthogonalised(basis, block)
        return block, inner + change @ coupling, factor @ coupling

    def polished(self, vectors: Array) -> Array:
        """Return vectors that are orthonormal but for small errors, without these.

        Collective. By one step of Newton's iteration.
        """
        step = (3 * np.eye(vectors.shape[1]) - self.inner(vectors, vectors)) / 2
        polished: Array = vectors @ step.astype(vectors.dtype)
        return polished

    def inner(self, basis: Array, block: Array) -> Array:
        """Return the inner products ``basis.H block``. Collective."""
        terms = np.ascontiguousarray(block.conj().T @ basis)
        self._comm.Allreduce(MPI.IN_PLACE, terms)
        return terms.conj().T.astype(self.kind)

    def _orthonormal(self, block: Array) -> tuple[Array, Array]:
        """Return Q with orthonormal columns, and R: ``block = Q R``. Collective.

        Q has only the directions that are larger than rounding errors.
        """
        b, size = block.shape[1], self._comm.size
        q, r = np.linalg.qr(block)
        own = np.zeros((b, b), self.kind)
        own[: len(r)] = r
        is_root = self._comm.rank == 0
        factors = np.empty((size * is_root, b, b), self.kind)
        self._comm.Gather(own, factors)
        answers = np.zeros((size * is_root, 2 * b + 1, b), self.kind)
        with raise_together(self._comm):
            if is_root:
                inner, r = np.linalg.qr(factors.reshape(-1, b))
                left, s, right = np.linalg.svd(r)
                self.norm = max(self.norm, float(s[0]))
                answers[:, :b] = (inner @ left).reshape(size, b, b)
                answers[:, b : 2 * b] = s[:, None] * right
                answers[:, -1] = (s > self._rounding * self.norm).sum()
        answer = np.empty((2 * b + 1, b), self.kind)
        self._comm.Scatter(answers, answer)
        width = int(answer[-1, 0].real)
        own = answer[: q.shape[1], :width].astype(block.dtype)
        return q @ own, answer[b : b + width]

    def _reorthogonalised(
        self, basis: Array, block: Array
    ) -> tuple[Array, Array, Array]:
        """Return a block Q orthonormal to the basis, S and F. Collective.

        The old block is ``basis S + Q F``. By Newton's iteration for ``F = (Q.H
        Q)**0.5``, which fails on no rank.
        """
        old, width = basis.shape[1], block.shape[1]
        if not width:
            kind = self.kind
            return block, np.zeros((old, 0), kind), np.zeros((0, 0), kind)
        inner = self.inner(np.hstack([basis, block]), block)
        change, gram = inner[:old], inner[old:]
        root, inverse = gram - change.conj().T @ change, np.eye(width)
        for _ in range(NEWTON_STEPS):
            step = (3 * np.eye(width) - inverse @ root) / 2
            root, inverse = root @ step, step @ inverse
        block = block - basis @ change.astype(block.dtype)
        return block @ inverse.astype(block.dtype), change, root
