"""Singular values and vectors of bidiagonal matrices, by LAPACK.

SciPy has no Python function of bdsdc, but exports it (`cython_lapack`).
"""

from __future__ import annotations

import ctypes

import numpy as np

from mpiapps.kernels.blas import INT_MAX, TYPE_PREFIXES, Array, from_capsule
from mpiapps.kernels.imports import cython_routines

# bdsdc computes indices up to 3 n^2 + 4 n in 32 bits.
MAX_ORDER = int((INT_MAX / 3) ** 0.5) - 1


def svd_bidiagonal(
    diagonal: Array, off_diagonal: Array, *, vectors: bool = True
) -> tuple[Array, Array, Array]:
    """Return U.T, s and V.T with ``B = U diag(s) V.T`` for upper bidiagonal B. Local.

    Parameters
    ----------
    diagonal, off_diagonal : ndarray, shapes (n,) and (n - 1,)
        Of B, finite; float32 or float64.
    vectors : bool
        If false, U.T and V.T are empty.

    Returns
    -------
    ut, vt : ndarray, n x n
    s : ndarray, shape (n,)
        Largest first.

    Raises
    ------
    ValueError
        If n exceeds `MAX_ORDER` and vectors are computed.
    numpy.linalg.LinAlgError
        If LAPACK does not converge.

    Notes
    -----
    Divide and conquer (Gu, Eisenstat, SIMAX 16 (1995)) in ``5 n^2`` elements of memory;
    without vectors dqds (Fernando, Parlett, Numer. Math. 67 (1994)).
    """
    n = diagonal.size
    if vectors and n > MAX_ORDER:
        raise ValueError(
            f"singular vectors of order {n}: LAPACK computes at most {MAX_ORDER};"
            " compute singular values alone"
        )
    side = n if vectors else 0
    s, e = diagonal.copy(), off_diagonal.copy()  # overwritten
    u, v = (np.empty((side, side), s.dtype) for _ in "uv")  # column-major: U and V.T
    work = np.empty(3 * side * side + 4 * n + 1, s.dtype)
    integers, info = np.empty(8 * n + 1, np.intc), ctypes.c_int()
    order, leading = ctypes.c_int(n), ctypes.c_int(max(1, side))
    unused = (ctypes.c_double * 1)(), (ctypes.c_int * 1)()
    name = TYPE_PREFIXES[s.dtype.str[1:]] + "bdsdc"
    from_capsule(cython_routines("cython_lapack")[name])(
        *(b"U", b"I" if vectors else b"N", ctypes.byref(order)),
        *(_address(s), _address(e)),
        *(_address(u), ctypes.byref(leading), _address(v), ctypes.byref(leading)),
        *unused,
        *(_address(work), _address(integers), ctypes.byref(info)),
    )
    if info.value:
        raise np.linalg.LinAlgError(
            "the singular values of the bidiagonal matrix did not converge (info"
            f" {info.value})"
        )
    return u, s, np.ascontiguousarray(v.T)


def _address(array: Array) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)
