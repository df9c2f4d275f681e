"""Factorisations of one block by LAPACK, where the block is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.kernels.backends import backend_of

Array = npt.NDArray[Any]
Geqrf = Callable[[Array], tuple[Array, Array]]
GEQRF_COLUMNS = 128  # LAPACK computes more in blocks, which need more workspace


def potrf(whole: Array, *, overwrite: bool = False) -> tuple[Array, int]:
    """Return the upper Cholesky factor of a column-major array, and info.

    Elements below the diagonal are zero. `info` is the order of the first leading minor
    that is not positive, or 0.
    """
    if not isinstance(whole, np.ndarray):
        factor = whole if overwrite else whole.copy(order="F")
        return factor, backend_of(factor).potrf(factor)
    from scipy.linalg import get_lapack_funcs

    routine = get_lapack_funcs("potrf", dtype=whole.dtype)
    upper: Array
    upper, info = routine(whole, lower=0, clean=1, overwrite_a=int(overwrite))
    return upper, info


def getrf(whole: Array) -> tuple[Array, npt.NDArray[np.int32], int]:
    """Return LU factors, pivots and info of a column-major array, which is overwritten.

    `pivots` are the rows swapped with each row, zero-based; `info` is 1 + the first
    column without a pivot, or 0.
    """
    if not isinstance(whole, np.ndarray):
        return whole, *backend_of(whole).getrf(whole)
    from scipy.linalg import get_lapack_funcs

    routine = get_lapack_funcs("getrf", dtype=whole.dtype)
    factors, pivots, info = routine(whole, overwrite_a=True)
    return factors, pivots, info


def order_after_swaps(n: int, pivots: Array) -> npt.NDArray[np.int64]:
    """Return rows 0 to n - 1 in their order after the row swaps of `getrf`."""
    from scipy.linalg import get_lapack_funcs

    routine = get_lapack_funcs("laswp", dtype=np.float64)  # exact below 2**53
    rows = routine(np.arange(n, dtype=np.float64)[:, None], pivots, overwrite_a=True)
    return np.asarray(rows[:, 0], np.int64)


def geqrf(dtype: np.dtype[Any]) -> Geqrf:
    """Return the function that factorises a column-major array of `dtype` in place.

    It returns the factors of QR, with R on and above the diagonal and the vectors of
    the reflections below it, and tau. The array may have at most `GEQRF_COLUMNS`.
    """
    from scipy.linalg import get_lapack_funcs

    routine = get_lapack_funcs("geqrf", dtype=dtype)

    def factorise(whole: Array) -> tuple[Array, Array]:
        columns = whole.shape[1]
        assert columns <= GEQRF_COLUMNS
        factors, tau, _, _ = routine(whole, lwork=max(1, columns), overwrite_a=True)
        return factors, tau

    return factorise
