"""A few eigenvalues and eigenvectors of a Hermitian matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import index
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from mpiapps.base.errors import CheckFailed
from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.launch.mpi import MPI
from mpiapps.linalg import operands
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.eigh import EighResult, eigh
from mpiapps.linalg.element_moves import own_part
from mpiapps.linalg.factorization import check_square
from mpiapps.linalg.lanczos import Operator, Request, find_pairs
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.linalg.random_fill import fill
from mpiapps.linalg.reductions import norm
from mpiapps.linalg.scaling import normalised
from mpiapps.linalg.skinny_product import SkinnyProduct

SMALL = 256  # order up to which `eigh` is faster
MIN_BLOCK = 4  # columns: a product of so many takes hardly longer than of one
EXTRA = 2  # columns of a block beyond k
MAX_DEPTH = 16  # blocks of the basis: more save few products
MIN_DEPTH = 6
MANY = 320  # vectors of the basis that rank 0 takes long for, between these depths
MAX_RESTARTS = 1000


class NoConvergence(CheckFailed):
    """Not all eigenpairs converged; as SciPy's `ArpackNoConvergence`.

    Attributes
    ----------
    eigenvalues : ndarray, length c, on every rank
        Those that converged, ascending.
    eigenvectors : DistMatrix, n x c
    """

    def __init__(self, message: str, result: EighResult) -> None:
        super().__init__(message)
        self.eigenvalues, self.eigenvectors = result


def both_ends(values: Array) -> Array:
    """Return indices alternately from both ends, the last one first. Local."""
    ascending = np.arange(len(values))
    return np.column_stack([ascending[::-1], ascending]).reshape(-1)[: len(values)]


# Indices of ascending eigenvalues, most wanted first.
ORDERS: dict[str, Callable[[Array], Array]] = {
    "LM": lambda values: np.argsort(-np.abs(values), kind="stable"),
    "LA": lambda values: np.arange(len(values))[::-1],
    "SA": lambda values: np.arange(len(values)),
    "BE": both_ends,
}


@overload
def eigsh(
    a: DistMatrix,
    k: int = 6,
    *,
    which: str = "LM",
    tol: float = 0.0,
    maxiter: int | None = None,
    v0: npt.ArrayLike | None = None,
    seed: int = 0,
    return_eigenvectors: Literal[True] = True,
) -> EighResult: ...
@overload
def eigsh(
    a: DistMatrix,
    k: int = 6,
    *,
    which: str = "LM",
    tol: float = 0.0,
    maxiter: int | None = None,
    v0: npt.ArrayLike | None = None,
    seed: int = 0,
    return_eigenvectors: Literal[False],
) -> Array: ...
@of_matrix
def eigsh(  # noqa: PLR0913 - SciPy's arguments
    a: DistMatrix,
    k: int = 6,
    *,
    which: str = "LM",
    tol: float = 0.0,
    maxiter: int | None = None,
    v0: npt.ArrayLike | None = None,
    seed: int = 0,
    return_eigenvectors: bool = True,
) -> EighResult | Array:
    """Return k eigenvalues and vectors of a Hermitian A: ``A V = V diag(w)``.

    Collective. As `scipy.sparse.linalg.eigsh`.

    Parameters
    ----------
    a : DistMatrix, n x n
        Real symmetric or complex Hermitian. All elements are read, and gross asymmetry
        is an error. It stays in its layout.
    k : int
        Number of eigenvalues, 0 to n.
    which : {"LM", "LA", "SA", "BE"}
        The largest by magnitude, the largest, the smallest, or half of them from each
        end of the spectrum, and one more from the upper end if k is odd.
    tol : float
        Largest residual ``|A v - v w|`` relative to ``|w|``. Smaller ones than the
        rounding errors ``sqrt(n) eps |A|`` are not waited for.
    maxiter : int, optional
        Number of times that the basis is filled. Default: `MAX_RESTARTS`.
    v0 : array_like, length n, optional
        First vector of the start, the same on all ranks.
    seed : int
        Of the other vectors of the start, which are random; the same on any grid.
    return_eigenvectors : bool
        If false, only w is returned.

    Returns
    -------
    EighResult
        k eigenvalues, ascending, on every rank, and n x k eigenvectors, distributed in
        the default layout.

    Raises
    ------
    ValueError
        On all ranks, if A is not square or not Hermitian, or holds a NaN or an
        infinity, or another argument is invalid.
    NoConvergence
        On all ranks, after `maxiter`, with the pairs that converged.

    Notes
    -----
    By block Lanczos with thick restart (`lanczos.find_pairs`), with blocks of k + 2
    columns and at least 4: k vectors of an eigenspace are found if it has so many. Up
    to order `SMALL`, and if the basis would be a large part of the space, by `eigh`.

    Cost of a product, with b columns in the block and s vectors in the basis:
    ``2 n^2 b / P`` flops at the speed of memory, ``8 n s b / P`` flops to
    orthonormalise, and ``n b + 4 s b`` elements received in about 10 messages; rank 0
    solves an eigenproblem of order s once per basis.
    """
    n = a.shape[0]
    request, start = _checked("eigsh", a, k, which, tol, maxiter, v0, seed)
    if is_dense(n, request.k):
        result = _by_eigh(a, request)
        return result if return_eigenvectors else result.eigenvalues
    product = SkinnyProduct(a)
    operator = Operator(
        a.comm, lambda x: product.times(product.rows.replicate(x)), n, a.dtype
    )
    columns = random_columns(n, request.k, a.dtype, seed)
    if start is not None:
        columns[:, 0] = start / np.abs(start).max()
    columns = columns[product.rows.own]
    maxiter = maxiter or MAX_RESTARTS
    size = basis_size(request.k)
    pairs, local = find_pairs(operator, columns, size, request, maxiter)
    wanted = np.flatnonzero(pairs.converged)
    values = np.ldexp(pairs.values[wanted], product.exponent)
    order = np.argsort(values, kind="stable")
    values = values[order].astype(a.local.real.dtype)
    if not return_eigenvectors and len(wanted) == request.k:
        return values
    local = np.ascontiguousarray(local[:, wanted[order]])
    vectors = distributed(a.comm, product.rows.replicate(local))
    result = EighResult(values, vectors)
    if len(wanted) < request.k:
        raise NoConvergence(_failure(len(wanted), request, maxiter), result)
    return result


def _failure(count: int, request: Request, maxiter: int) -> str:
    return (
        f"{count} of {request.k} eigenpairs converged in maxiter={maxiter} fillings of"
        f" the basis, to tol={request.tol}; increase one of the two, or compute all"
        " eigenvalues with eigh. The pairs that converged are in the attributes"
        " eigenvalues and eigenvectors of this error"
    )


def is_dense(n: int, k: int) -> bool:
    """Return whether all eigenvectors are computed, to select from them. Local."""
    return n <= SMALL or n < MAX_DEPTH * block_width(k) or k == 0


def block_width(k: int) -> int:
    """Return the number of columns of a block. Local."""
    return max(MIN_BLOCK, k + EXTRA)


def basis_size(k: int) -> int:
    """Return the number of vectors of a basis. Local."""
    width = block_width(k)
    return width * min(MAX_DEPTH, max(MIN_DEPTH, MANY // width))


def _checked(  # noqa: PLR0913, PLR0917 - the arguments of eigsh
    call: str,
    a: DistMatrix,
    k: int,
    which: str,
    tol: float,
    maxiter: int | None,
    v0: npt.ArrayLike | None,
    seed: int,
) -> tuple[Request, Array | None]:
    """Return what is wanted and v0, or raise. Collective."""
    with raise_together(a.comm) as same:
        start = None if v0 is None else operands.numbers(v0, "v0")
        same(call, a, k, which, tol, maxiter, start, seed)
        refuse_masks(call, a.dtype)
        check_square(a)
        n, k, seed = a.shape[0], index(k), index(seed)
        if not 0 <= k <= n:
            raise ValueError(f"k={k} eigenvalues of an order of {n}; expected 0 to {n}")
        if which not in ORDERS:
            raise ValueError(
                f"which={which!r}: expected one of {', '.join(ORDERS)}; eigh computes"
                " the eigenvalues in the interior of the spectrum"
            )
        check_limits(tol, maxiter)
        if start is not None:
            _check_start(start, n, a.dtype)
    return Request(k, ORDERS[which], float(tol)), start


def check_limits(tol: float, maxiter: int | None) -> None:
    """Raise `ValueError` unless both can end an iteration. Local."""
    if not (0 <= tol < math.inf):
        raise ValueError(f"tol={tol}: expected 0 or more")
    if maxiter is not None and index(maxiter) < 1:
        raise ValueError(f"maxiter={maxiter}: expected 1 or more")


def _check_start(start: Array, n: int, dtype: np.dtype[np.generic]) -> None:
    if start.shape != (n,) or not np.isfinite(start).all() or not start.any():
        raise ValueError(
            f"v0 has the shape {start.shape}; expected ({n},), finite numbers, and one"
            " that is not zero"
        )
    if start.dtype.kind == "c" != dtype.kind:
        raise ValueError("v0 is complex, but the matrix is real; pass a real vector")


def random_columns(n: int, k: int, dtype: np.dtype[np.generic], seed: int) -> Array:
    """Return the first block for k wanted vectors, n rows. Local."""
    columns = np.empty((n, block_width(k)), dtype)
    fill(columns, Layout.on_one(columns.shape, 0), 0, seed)
    return columns


def _by_eigh(a: DistMatrix, request: Request) -> EighResult:
    """Return pairs selected from all. Collective."""
    limit = float(np.finfo(a.dtype).eps) ** 0.5
    scaled, _ = normalised(a)
    size = norm(scaled, "max") or 1.0
    difference = norm(scaled - scaled.H, "max") / size
    if difference > 2 * limit:
        raise ValueError(
            "the matrix is not Hermitian: elements differ from those of its adjoint by"
            f" {difference:.2g} of the largest; all elements are read, not only a"
            " triangle"
        )
    values, vectors = eigh(a)
    wanted = np.sort(request.order(values)[: request.k])
    layout = Layout.balanced((a.shape[0], request.k), a.comm.size)
    return EighResult(values[wanted], vectors[:, wanted].redistribute(layout))


def distributed(comm: MPI.Intracomm, whole: Array) -> DistMatrix:
    """Return a replicated array as a matrix in the default layout. Local."""
    layout = Layout.balanced(whole.shape, comm.size)
    local = np.ascontiguousarray(whole[own_part(layout, comm.rank)])
    return DistMatrix(comm, layout, local, agreed=True)
