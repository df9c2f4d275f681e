"""Some eigenvectors of a Hermitian operator: block Lanczos with thick restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import computed_on_root, raise_together
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.orthonormal_blocks import OrthonormalBlocks


@dataclass(frozen=True)
class Operator:
    """A Hermitian operator on vectors that are distributed over ranks.

    Attributes
    ----------
    apply : callable
        Return this rank's rows of ``A X``, given those of X. Collective.
    order : int
        Number of rows of all ranks.
    dtype : dtype
        Of X and of ``A X``.
    """

    comm: MPI.Intracomm
    apply: Callable[[Array], Array]
    order: int
    dtype: np.dtype[Any]

    @property
    def rounding(self) -> float:
        """Rounding error of a product, relative to ``|A|``."""
        return float(max(10.0, self.order**0.5) * np.finfo(self.dtype).eps)


class Request(NamedTuple):
    """The eigenpairs that are wanted.

    Attributes
    ----------
    k : int
    order : callable
        Return the indices of eigenvalues, most wanted first. Called on rank 0.
    tol : float
        Largest residual, relative to the eigenvalue.
    """

    k: int
    order: Callable[[Array], Array]
    tol: float


class RitzPairs(NamedTuple):
    """Approximate eigenpairs, most wanted first: those of rank 0, on every rank.

    Attributes
    ----------
    values : ndarray of float64, shape (p,), p >= k
    coefficients : ndarray, shape (count, p)
        The vectors in the basis.
    converged : ndarray of bool, shape (k,)
    """

    values: Array
    coefficients: Array
    converged: Array


class BlockLanczos:
    """A Krylov basis V, the operator projected on it, and the next block of vectors.

    Collective to make.

    Parameters
    ----------
    operator : Operator
    start : ndarray, shape (rows of this rank, b)
        The first block.
    size : int
        Largest number of vectors of the basis, besides the next block.

    Notes
    -----
    ``A V = V T + Q R E.H``, where Q is the next block, and E selects the last block of
    V. A step multiplies the block, subtracts its projection on all of V twice, and
    orthonormalises it by TSQR. Directions that are below the rounding errors of the
    product leave the block, which deflates invariant subspaces.

    Rank 0 takes all decisions (width of a block, convergence) and sends them: ranks
    that compute the same number may differ in its last bits.
    """

    def __init__(self, operator: Operator, start: Array, size: int) -> None:
        self._operator, self._comm = operator, operator.comm
        self._basis = np.empty((len(start), size + start.shape[1]), operator.dtype)
        self._blocks = OrthonormalBlocks(self._comm, operator.dtype, operator.rounding)
        self._t = np.zeros((size, size), self._blocks.kind)  # its upper triangle
        self._size, self._count = size, 0
        block, self._coupling = self._blocks.first(start)
        self._width = block.shape[1]
        self._basis[:, : self._width] = block

    def fill(self) -> None:
        """Extend the basis to its size, or until it is invariant. Collective."""
        while self._width and self._count + self._width <= self._size:
            self._extend()

    def _extend(self) -> None:
        """Multiply the next block, and add it to the basis. Collective."""
        old, new = self._count, self._count + self._width
        basis = self._basis[:, :new]
        product = self._operator.apply(np.ascontiguousarray(basis[:, old:]))
        block, inner, self._coupling = self._blocks.split(basis, product)
        if old == 0:
            self._check_hermitian(inner)
        self._t[:new, old:new] = inner
        self._count, self._width = new, block.shape[1]
        self._basis[:, new : new + self._width] = block

    def _check_hermitian(self, product: Array) -> None:
        """Raise `ValueError` if ``X.H A X`` is not Hermitian. Collective."""
        asymmetry = float(np.abs(product - product.conj().T).max())
        size = float(np.abs(product).max())
        with raise_together(self._comm):
            limit = float(np.finfo(self._operator.dtype).eps) ** 0.5
            if self._comm.rank == 0 and asymmetry > limit * size:
                raise ValueError(
                    "the matrix is not Hermitian: X.H A X of random X differs from its"
                    f" adjoint by {asymmetry / size:.2g} of its largest element; all"
                    " elements are read, not only a triangle"
                )

    def ritz_pairs(self, request: Request) -> RitzPairs:
        """Return the eigenpairs of the projected operator to keep. Collective.

        The k wanted ones and half of the others.
        """
        return computed_on_root(self._comm, lambda: self._solve(request))

    def _solve(self, request: Request) -> RitzPairs:
        k, count = request.k, self._count
        values, vectors = np.linalg.eigh(self._t[:count, :count], UPLO="U")
        order = request.order(values)[: k + (count - k) // 2]
        last = vectors[count - self._coupling.shape[1] :, order[:k]]
        residuals = np.linalg.norm(self._coupling @ last, axis=0)
        self._blocks.norm = float(np.abs(values).max())
        limits = np.abs(values[order[:k]]) * request.tol
        limits = np.maximum(limits, self._blocks.smallest)
        return RitzPairs(values[order], vectors[:, order], residuals <= limits)

    def restart(self, pairs: RitzPairs) -> None:
        """Replace the basis by Ritz vectors. Local."""
        old, kept = self._count, len(pairs.values)
        self._basis[:, :kept] = self.vectors(pairs.coefficients)
        block = self._basis[:, old : old + self._width].copy()
        self._basis[:, kept : kept + self._width] = block
        self._t[...] = 0
        np.fill_diagonal(self._t[:kept, :kept], pairs.values)
        self._count = kept

    def vectors(self, coefficients: Array) -> Array:
        """Return this rank's rows of combinations of the basis. Local."""
        basis = self._basis[:, : self._count]
        combined: Array = basis @ coefficients.astype(basis.dtype)
        return combined

    def polished(self, coefficients: Array) -> Array:
        """Return `vectors` without the errors of many restarts. Collective."""
        return self._blocks.polished(self.vectors(coefficients))


def find_pairs(
    operator: Operator, start: Array, size: int, request: Request, maxiter: int
) -> tuple[RitzPairs, Array]:
    """Return the wanted eigenpairs, and this rank's rows of their vectors. Collective.

    Parameters
    ----------
    operator : Operator
    start : ndarray, shape (rows of this rank, b)
        Linearly independent columns, at least k.
    size : int
        Vectors of the basis, at least ``3 b``, unless that is the whole space.
    request : Request
    maxiter : int
        After as many times that the basis was filled, pairs may not have converged.

    Notes
    -----
    Wu, Simon: Thick-restart Lanczos method, SIMAX 22 (2000); blocks as in Zhou, Saad:
    Block Krylov-Schur method, Numerical Algorithms 47 (2008). A basis of at least k
    random vectors finds, with probability one, k vectors of an eigenspace that has as
    many.
    """
    lanczos = BlockLanczos(operator, start, size)
    lanczos.fill()
    pairs = lanczos.ritz_pairs(request)
    for _ in range(1, maxiter):
        if pairs.converged.all():
            break
        lanczos.restart(pairs)
        lanczos.fill()
        pairs = lanczos.ritz_pairs(request)
    return pairs, lanczos.polished(pairs.coefficients[:, : request.k])
