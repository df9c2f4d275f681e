"""Eigenvalues and eigenvectors of symmetric and Hermitian matrices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.block_messages import bcast_in
from mpiapps.linalg.cholesky import cholesky
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.divide_conquer import eigh_tridiagonal
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.factorization import check_square
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matrix_operands import as_matrix, of_matrix
from mpiapps.linalg.one_rank import scattered
from mpiapps.linalg.redistribute import redistribute
from mpiapps.linalg.reflectors import (
    PartialReduction,
    ReductionCallback,
    with_exponent,
)
from mpiapps.linalg.scaling import scale_to_one
from mpiapps.linalg.solve import hermitian
from mpiapps.linalg.tridiagonal import row_layout, tridiagonalise
from mpiapps.linalg.trsm import solve_triangular

# Orders up to which one rank is faster than several, for vectors and for values alone.
SMALL = 800
SMALL_VALUES = 1500


class EighResult(NamedTuple):
    """The result of `eigh`, with the names of NumPy.

    Attributes
    ----------
    eigenvalues : ndarray, length n, on every rank
        Real, ascending.
    eigenvectors : DistMatrix, n x n
        Distributed by columns: column j belongs to eigenvalue j.
    """

    eigenvalues: Array
    eigenvectors: DistMatrix


@of_matrix
def eigh(
    a: DistMatrix,
    b: DistMatrix | npt.ArrayLike | None = None,
    *,
    UPLO: str = "L",  # noqa: N803 - NumPy's name
    on_panel: ReductionCallback | None = None,
    partial: PartialReduction | None = None,
) -> EighResult:
    """Return eigenvalues and vectors of a Hermitian A: ``A V = V diag(w)``. Collective.

    With B, those of the generalised problem ``A V = B V diag(w)``, ``V.H B V = 1``.

    Parameters
    ----------
    a : DistMatrix, n x n
        Real symmetric or complex Hermitian.
    b : DistMatrix, n x n, or an array that is the same on all ranks, optional
        Hermitian and positive definite.
    UPLO : {"L", "U"}
        Read only the lower or the upper triangle, as NumPy; imaginary parts on the
        diagonal are not read.
    on_panel : callable, optional
        Called between two panels of the reduction to tridiagonal form, above order
        `SMALL`. See `reduction_checkpoint`.
    partial : PartialReduction, optional
        Reduction to resume, of the same A and B.

    Raises
    ------
    ValueError
        On all ranks, if A or B is not square, a triangle holds a NaN or an infinity, or
        the shapes differ.
    numpy.linalg.LinAlgError
        On all ranks, if B is not positive definite, or LAPACK does not converge.

    Notes
    -----
    A is scaled, reduced to tridiagonal form T (`tridiagonal`), T's eigenvectors are
    computed by divide and conquer (`divide_conquer`) and multiplied by the reflections.
    Backward stable: the error of an eigenvalue is a small multiple of ``n eps |A|``.
    Cost: about ``4/3 n^3`` flops for T, at most ``4/3 n^3`` for its vectors, ``2 n^3``
    for the product, each divided by P; each rank receives about ``1.5 n^2 + 3 n^2/P``
    elements in about ``n (1 + 3/PANEL)`` messages. Up to order `SMALL` LAPACK computes
    on rank 0, and V is scattered.

    With B = L L.H, the matrix is ``L^-1 A L^-H``, as in LAPACK's hegvd: a Cholesky
    factorisation and three triangular solves. The error then grows with the condition
    number of B.
    """
    a, factor = _problem("eigh", a, b, UPLO)
    values, vectors = _eigh(a, on_panel, partial)
    if factor is not None:
        vectors = solve_triangular(factor, vectors, op="H")
    return EighResult(values, vectors)


def _eigh(
    a: DistMatrix,
    on_panel: ReductionCallback | None,
    partial: PartialReduction | None,
) -> EighResult:
    """Return the result for the lower triangle of A. Collective."""
    n, size = a.shape[0], a.comm.size
    columns = Layout.blocks((n, n), (1, size))
    if n <= SMALL:
        return _eigh_on_root(a, columns)
    a, exponent = scaled_rows(a, lower=True)
    if partial is not None:  # on other ranks, that of A may be another one
        exponent = partial.exponent
    diagonal, off_diagonal, reflections = tridiagonalise(
        a, on_panel=with_exponent(on_panel, exponent), partial=partial
    )
    real = a.local.real.dtype
    system = eigh_tridiagonal(a.comm, diagonal, off_diagonal, real)
    rows = Layout.blocks((n, n), (size, 1))
    vectors = redistribute(a.comm, system.vectors, rows, columns).astype(a.dtype)
    reflections.apply(vectors)
    values = np.ldexp(system.values, exponent).astype(real)
    return EighResult(values, DistMatrix(a.comm, columns, vectors, agreed=True))


@of_matrix
def eigvalsh(
    a: DistMatrix,
    b: DistMatrix | npt.ArrayLike | None = None,
    *,
    UPLO: str = "L",  # noqa: N803 - NumPy's name
) -> Array:
    """Return the eigenvalues of a Hermitian A, ascending, on every rank. Collective.

    As `eigh`, at less than half its cost: rank 0 computes the eigenvalues of T.
    """
    a, _ = _problem("eigvalsh", a, b, UPLO)
    real = a.local.real.dtype
    values = np.empty(a.shape[0], real)
    if a.shape[0] <= SMALL_VALUES:
        whole = a._to_root(0)
        with raise_together(a.comm):
            if whole is not None:
                values = np.linalg.eigvalsh(whole)
        return bcast_in(a.comm, values, 0)
    a, exponent = scaled_rows(a, lower=True)
    diagonal, off_diagonal, _ = tridiagonalise(a, vectors=False)
    with raise_together(a.comm):
        if a.comm.rank == 0:
            roots = _tridiagonal_values(diagonal, off_diagonal)
            values = np.ldexp(roots, exponent).astype(real)
    return bcast_in(a.comm, values, 0)


def _tridiagonal_values(diagonal: Array, off_diagonal: Array) -> Array:
    """Return the eigenvalues of a tridiagonal matrix, by LAPACK. Local."""
    if not off_diagonal.size:
        return diagonal
    from scipy.linalg import lapack

    values, info = lapack.dsterf(diagonal, off_diagonal)
    if info:
        raise np.linalg.LinAlgError(
            f"the eigenvalues of the tridiagonal matrix did not converge (info {info})"
        )
    return np.asarray(values)


def _problem(
    call: str, a: DistMatrix, b: DistMatrix | npt.ArrayLike | None, uplo: str
) -> tuple[DistMatrix, DistMatrix | None]:
    """Return a matrix with A's eigenvalues, and L if there is B = L L.H. Collective.

    The lower triangle of the matrix is to be read.
    """
    b = None if b is None else as_matrix(a, b)[0]
    with raise_together(a.comm) as same:
        same(call, a, b, uplo)
        a.check_comm(b)
        if b is not None and a.shape != b.shape:
            raise ValueError(
                f"A is {a.shape[0]} x {a.shape[1]} and B {b.shape[0]} x {b.shape[1]};"
                " expected two square matrices of one order"
            )
    a = _checked(a, uplo, call)
    if b is None:
        return a, None
    dtype = np.result_type(a.dtype, b.dtype)
    factor = cholesky(_checked(b, uplo, call).astype(dtype))
    half = solve_triangular(factor, hermitian(a.astype(dtype)))
    return solve_triangular(factor, half.H), factor


def _checked(a: DistMatrix, uplo: str, call: str) -> DistMatrix:
    """Return the matrix whose lower triangle is to be read. Collective."""
    with raise_together(a.comm) as same:
        same(call, a, uplo)
        refuse_masks(call, a.dtype)
        if uplo not in ("L", "U"):
            raise ValueError(f"UPLO {uplo!r}: expected 'L' or 'U'")
    if uplo == "U":
        a = a.H
    with raise_together(a.comm):
        check_square(a, lower=True)
    return a


def _eigh_on_root(a: DistMatrix, layout: Layout) -> EighResult:
    """Return the result computed by LAPACK on rank 0. Collective."""
    whole = a._to_root(0)
    values = np.empty(a.shape[0], a.local.real.dtype)
    vectors = None
    with raise_together(a.comm):
        if whole is not None:
            values, vectors = np.linalg.eigh(whole)
    bcast_in(a.comm, values, 0)
    return EighResult(values, scattered(a.comm, vectors, layout, a.dtype))


def scaled_rows(a: DistMatrix, *, lower: bool = False) -> tuple[DistMatrix, int]:
    """Return ``2**-exponent A`` in `row_layout`, and the exponent. Collective.

    The largest element is about one. With `lower`, elements above the diagonal are
    zero.
    """
    a = a._redistributed(row_layout(a.shape, a.comm.size))
    if lower:
        a.local[a.row_indices[:, None] < a.col_indices] = 0
    return a, scale_to_one(a.comm, a.local)
