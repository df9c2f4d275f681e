"""Linear systems on one rank, by LAPACK."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import get_lapack_funcs

from mpiapps.comm.chunking import Array
from mpiapps.kernels.transpose import transposed
from mpiapps.linalg.cholesky import not_positive
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.factorization import check_square
from mpiapps.linalg.lu import singular
from mpiapps.linalg.residual import refine

ArraySolver = Callable[[Array], Array]


def solve_arrays(a: DistMatrix, b: DistMatrix, kind: str, refinements: int) -> Array:
    """Return X, as `solve.solve`, for matrices that are on this rank alone. Local."""
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
    inverse = _solver(a, kind, a.dtype)(np.eye(a.shape[0], dtype=a.dtype))
    return inverse if kind == "general" else (inverse + inverse.conj().T) / 2


def _solver(a: DistMatrix, kind: str, dtype: np.dtype[Any]) -> ArraySolver:
    """Return the function that solves with A: getrs, or potrs of its lower triangle."""
    refuse_masks("solve", a.dtype)
    positive = kind == "positive"
    check_square(a, lower=positive)
    if not a.shape[0]:
        return lambda b: b.astype(dtype)
    whole = transposed(a.local.astype(dtype, copy=False)).T  # column-major, a copy
    if positive:
        potrf, potrs = get_lapack_funcs(("potrf", "potrs"), dtype=dtype)
        lower, info = potrf(whole, lower=1, overwrite_a=1)
        if info:
            raise not_positive(info)
        return lambda b: np.ascontiguousarray(potrs(lower, b, lower=1)[0])
    return _lu(whole)[1]


def lu_solvers(a: Array) -> tuple[float, ArraySolver, ArraySolver]:
    """Return the largest element of A's LU factors, and solvers for A and A.H. Local.

    Raises
    ------
    numpy.linalg.LinAlgError
        If A is singular.
    """
    factors, forward, backward = _lu(transposed(a).T)
    return float(np.abs(factors).max(initial=0)), forward, backward


def _lu(whole: Array) -> tuple[Array, ArraySolver, ArraySolver]:
    """Factorise a column-major array in place."""
    getrf, getrs = get_lapack_funcs(("getrf", "getrs"), dtype=whole.dtype)
    factors, pivots, info = getrf(whole, overwrite_a=1)
    if info:
        raise singular(info)

    def apply(b: Array, trans: int) -> Array:
        return np.ascontiguousarray(getrs(factors, pivots, b, trans=trans)[0])

    return factors, partial(apply, trans=0), partial(apply, trans=2)
