"""Some singular vectors of a matrix: block Golub-Kahan with thick restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import computed_on_root
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.orthonormal_blocks import OrthonormalBlocks
from mpiapps.linalg.skinny_product import SkinnyProduct


@dataclass(frozen=True)
class Triplets:
    """Approximate singular triplets, largest first: those of rank 0, on every rank.

    Attributes
    ----------
    values : ndarray of float64, shape (p,), p >= k
    left, right : ndarray, shapes (count of the left basis, q) and (count, p)
        The vectors in the bases; without those left ones, q <= p, that belong to zero
        and are not in the basis.
    converged : ndarray of bool, shape (k,)
    """

    values: Array
    left: Array
    right: Array
    converged: Array


class Wanted(NamedTuple):
    """The number of triplets, and their largest residual relative to the value."""

    k: int
    tol: float


class BlockGolubKahan:
    """Bases U and V of Krylov spaces, A between them, and the next block of V.

    Collective to make.

    Parameters
    ----------
    comm : MPI.Intracomm
    product : SkinnyProduct
    start : ndarray, shape (rows of this rank in V, b)
        The first block of V.
    size : int
        Largest number of vectors of V, besides the next block, and of U.

    Notes
    -----
    ``A V = U B`` and ``A.H U = V B.H + Q R E.H``, where Q is the next block of V, and E
    selects the last block of U. A step multiplies a block of V by A and the resulting
    block of U by ``A.H``; each product is orthonormalised as in `lanczos.BlockLanczos`.

    The eigenvectors of ``A.H A`` by Lanczos would be the same without rounding errors,
    but those of the product are ``eps |A|^2``: the residual of a singular value s would
    be ``eps |A|^2 / s``. It is ``eps |A|`` here, for all s.
    """

    def __init__(
        self, comm: MPI.Intracomm, product: SkinnyProduct, start: Array, size: int
    ) -> None:
        self._comm, self._product, self._size = comm, product, size
        m, n, dtype = product.rows.count, product.cols.count, start.dtype
        rounding = float(max(10.0, max(m, n) ** 0.5) * np.finfo(dtype).eps)
        self._blocks = OrthonormalBlocks(comm, dtype, rounding)
        self._left = np.empty((len(product.rows.own), size), dtype)
        self._right = np.empty((len(start), size + start.shape[1]), dtype)
        self._b = np.zeros((size, size), self._blocks.kind)
        self._rank = self._count = 0  # vectors of U and V
        block, self._coupling = self._blocks.first(start)
        self._width = block.shape[1]
        self._right[:, : self._width] = block

    def fill(self) -> None:
        """Extend V to its size, or until it is invariant. Collective."""
        while self._width and self._count + self._width <= self._size:
            self._extend()

    def _extend(self) -> None:
        """Add the next block to V, and its image to U. Collective."""
        rank, old, new = self._rank, self._count, self._count + self._width
        right = np.ascontiguousarray(self._right[:, old:new])
        image = self._product.times(self._product.cols.replicate(right))
        block, inner, factor = self._blocks.split(self._left[:, :rank], image)
        self._rank = rank + block.shape[1]
        self._left[:, rank : self._rank] = block
        self._b[:rank, old:new], self._b[rank : self._rank, old:new] = inner, factor
        self._count, self._width = new, 0
        self._coupling = np.zeros((0, block.shape[1]), self._blocks.kind)
        if not block.shape[1]:
            return
        left = np.ascontiguousarray(block)
        image = self._product.adjoint_times(self._product.rows.replicate(left))
        basis = self._right[:, :new]
        block, _, self._coupling = self._blocks.split(basis, image)
        self._width = block.shape[1]
        self._right[:, new : new + self._width] = block

    def triplets(self, wanted: Wanted) -> Triplets:
        """Return the singular triplets of B to keep. Collective.

        The k wanted ones and half of the others.
        """
        return computed_on_root(self._comm, lambda: self._solve(wanted))

    def _solve(self, wanted: Wanted) -> Triplets:
        k, count, rank = wanted.k, self._count, self._rank
        left, s, right = np.linalg.svd(self._b[:rank, :count])
        values = np.zeros(count)
        values[: len(s)] = s
        kept = k + (count - k) // 2
        self._blocks.norm = float(values[0])
        limits = np.maximum(values[:k] * wanted.tol, self._blocks.smallest)
        residuals = np.zeros(k)
        last = left[rank - self._coupling.shape[1] :, :k]
        residuals[: last.shape[1]] = np.linalg.norm(self._coupling @ last, axis=0)
        return Triplets(
            values[:kept],
            left[:, :kept],
            right[:kept].conj().T.copy(),
            residuals <= limits,
        )

    def restart(self, found: Triplets) -> None:
        """Replace the bases by approximate singular vectors. Local."""
        kept, next_block = len(found.values), self._next_block()
        rank = found.left.shape[1]
        self._left[:, :rank] = self._combined(self._left, found.left)
        self._right[:, :kept] = self._combined(self._right, found.right)
        self._right[:, kept : kept + self._width] = next_block
        self._b[...] = 0
        np.fill_diagonal(self._b[:rank, :kept], found.values)
        self._rank, self._count = rank, kept

    def _next_block(self) -> Array:
        return self._right[:, self._count : self._count + self._width].copy()

    @staticmethod
    def _combined(basis: Array, coefficients: Array) -> Array:
        used = basis[:, : len(coefficients)]
        combined: Array = used @ coefficients.astype(basis.dtype)
        return combined

    def vectors(self, found: Triplets, k: int, spare: Array) -> tuple[Array, Array]:
        """Return this rank's rows of the left and right vectors. Collective.

        From `spare`, this rank's rows of k linearly independent columns, those left
        ones are made that are not in the basis.
        """
        right = self._blocks.polished(self._combined(self._right, found.right[:, :k]))
        left = self._blocks.polished(self._combined(self._left, found.left[:, :k]))
        missing = k - left.shape[1]
        if missing:
            others = OrthonormalBlocks(self._comm, left.dtype, 0.0)
            block, *_ = others.split(left, spare[:, :missing].copy())
            left = np.hstack([left, block])
        return left, right


def find_triplets(solver: BlockGolubKahan, wanted: Wanted, maxiter: int) -> Triplets:
    """Return the largest singular triplets. Collective.

    After `maxiter` times that the basis was filled, they may not have converged.

    Notes
    -----
    Baglama, Reichel: Restarted block Lanczos bidiagonalization methods, Numerical
    Algorithms 43 (2006). A first block of at least k random vectors finds, with
    probability one, k vectors of a singular value that has as many.
    """
    solver.fill()
    found = solver.triplets(wanted)
    for _ in range(1, maxiter):
        if found.converged.all():
            break
        solver.restart(found)
        solver.fill()
        found = solver.triplets(wanted)
    return found
