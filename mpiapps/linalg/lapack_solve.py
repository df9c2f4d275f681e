"""Linear systems on one rank, by LAPACK."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.kernels.transpose import transposed
from mpiapps.linalg.cholesky import cholesky_in_place
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.factorization import check_square
from mpiapps.linalg.lu import lu_in_place
from mpiapps.linalg.residual import refine

ArraySolver = Callable[[Array], Array]
KINDS = ("general", "positive")


def check_kind(kind: str) -> None:
    """Raise `ValueError` if `kind` is not one of `KINDS`."""
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}")


def solve_arrays(a: DistMatrix, b: DistMatrix, kind: str, refinements: int) -> Array:
    """Return X, as `solve.solve`, for matrices that are on this rank alone. Local."""
    refuse_masks("solve", a.dtype, b.dtype)
    dtype = np.result_type(a.dtype, b.dtype)
    apply = _solver(a, kind, dtype)
    x = apply(b.local)
    if refinements < 1:
        return x
    full = a.local.astype(dtype, copy=False)
    if kind == "positive":  # only the lower triangle of A is read
        full = np.tril(full) + np.tril(full, -1).conj().T
        np.fill_diagonal(full, full.diagonal().real)
    return refine(full, x, b.local.astype(dtype, copy=False), apply, refinements)


def inverse_array(a: DistMatrix, kind: str) -> Array:
    """Return the inverse, as `solve.inverse`, of a matrix on this rank. Local."""
    refuse_masks("inverse", a.dtype)
    inverse = _solver(a, kind, a.dtype)(np.eye(a.shape[0], dtype=a.dtype, order="F"))
    return inverse if kind == "general" else (inverse + inverse.conj().T) / 2


def lu_solvers(a: DistMatrix) -> tuple[float, ArraySolver, ArraySolver]:
    """Return the largest element of A's LU factors, and solvers for A and A.H. Local.

    Raises
    ------
    numpy.linalg.LinAlgError
        If A is singular.
    ValueError
        If A is not square or not finite.
    """
    check_square(a)
    factors, forward, backward = _lu(transposed(a.local).T)
    return float(np.abs(factors).max(initial=0)), forward, backward


def _solver(a: DistMatrix, kind: str, dtype: np.dtype[Any]) -> ArraySolver:
    """Return the function that solves with A, or with its lower triangle."""
    check_kind(kind)
    check_square(a, lower=kind == "positive")
    if not a.shape[0]:
        return lambda b: b.astype(dtype)
    if kind == "general":
        return _lu(transposed(a.local.astype(dtype, copy=False)).T)[1]
    # The conjugate of A: column-major, with the lower triangle of A as its upper one.
    upper = cholesky_in_place(np.array(a.local, dtype, order="C").T)
    from scipy.linalg import get_lapack_funcs

    potrs = get_lapack_funcs("potrs", dtype=dtype)
    return lambda b: np.ascontiguousarray(potrs(upper, b.conj(), lower=0)[0].conj())


def _lu(whole: Array) -> tuple[Array, ArraySolver, ArraySolver]:
    """Factorise a column-major array in place."""
    factors, pivots = lu_in_place(whole)
    from scipy.linalg import get_lapack_funcs

    getrs = get_lapack_funcs("getrs", dtype=whole.dtype)

    def apply(b: Array, trans: int) -> Array:
        x: Array = getrs(factors, pivots, b, trans=trans)[0]
        return transposed(x.T) if x.ndim > 1 else x

    return factors, partial(apply, trans=0), partial(apply, trans=2)
