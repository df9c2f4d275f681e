"""Products and triangular solves in place, on parts of larger arrays.

SciPy's wrappers copy what is not contiguous as a whole; here a part of an array is read
and written where it lies, by the BLAS that SciPy brings (`cython_blas` exports it).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cython_blas

from mpiapps.base.errors import LaunchError

Array = npt.NDArray[Any]
# BLAS's own triangular solves run at half the speed of its products: above this size
# a triangle is cut in two, and most of the work becomes a product.
BASE = 64
# Names another BLAS with 32-bit integers, by its file: libmkl_rt.so, libblis.so.
LIBRARY = "MPIAPPS_BLAS"
INT_MAX = 2**31 - 1
LETTERS = {"f4": "s", "f8": "d", "c8": "c", "c16": "z"}


def add_product(
    out: Array, a: Array, b: Array, alpha: complex = 1.0, op_b: str = "N"
) -> None:
    """Do ``out += alpha a op(b)`` in place. Local.

    Parameters
    ----------
    out, a, b : ndarray
        m x n, m x k, and k x n or with an op n x k; of one dtype out of f4, f8, c8 and
        c16; columns next to each other, rows after each other, any distance apart;
        others are refused. `out` can be written.
    alpha : number
    op_b : {"N", "T", "H"}
        b as it is, transposed, conjugate transposed.

    Notes
    -----
    ``2 m n k`` operations (complex: four times). BLAS reads by columns, so it is given
    ``out.T += alpha op(b).T a.T``.
    """
    (m, n), k = out.shape, a.shape[1]
    expected = (k, n) if op_b == "N" else (n, k)
    if a.shape[0] != m or b.shape != expected:
        raise ValueError(f"{out.shape} += {a.shape} times {b.shape}, {op_b}")
    if not (m and n and k):
        return
    _check_out(out)
    if op_b == "H" and b.dtype.kind == "c":
        b = b.conj()
    letter = b"N" if op_b == "N" else b"T"
    one, factor = _number(1.0, out), _number(alpha, out)
    _call(
        "gemm",
        out,
        *(letter, b"N", n, m, k, factor, b, _lead(b), a, _lead(a)),
        *(one, out, _lead(out)),
    )


def solve_rows(triangle: Array, out: Array, *, lower: bool, unit: bool = False) -> None:
    """Do ``out = triangle^-1 out`` in place. Local.

    Parameters
    ----------
    triangle : ndarray, n x n
        Its other triangle is not read.
    out : ndarray, n x m
    lower, unit : bool
        Which triangle, and whether its diagonal is taken for ones.
    """
    n = triangle.shape[0]
    if n <= BASE:
        _trsm(b"R", triangle, out, b"N", lower=lower, unit=unit)
        return
    first, last = _halves(n, lower=lower)
    solve_rows(triangle[first, first], out[first], lower=lower, unit=unit)
    add_product(out[last], triangle[last, first], out[first], -1)
    solve_rows(triangle[last, last], out[last], lower=lower, unit=unit)


def solve_columns(triangle: Array, out: Array, *, lower: bool) -> None:
    """Do ``out = out triangle.H^-1`` in place. Local; as `solve_rows`, out is m x n."""
    n = triangle.shape[0]
    if n <= BASE:
        triangle = triangle.conj() if triangle.dtype.kind == "c" else triangle
        _trsm(b"L", triangle, out, b"T", lower=lower, unit=False)
        return
    first, last = _halves(n, lower=lower)
    solve_columns(triangle[first, first], out[:, first], lower=lower)
    add_product(out[:, last], out[:, first], triangle[last, first], -1, "H")
    solve_columns(triangle[last, last], out[:, last], lower=lower)


def _halves(n: int, *, lower: bool) -> tuple[slice, slice]:
    """Return which half of a triangle's unknowns is found first, and the other."""
    middle = n // 2
    halves = slice(0, middle), slice(middle, n)
    return halves if lower else halves[::-1]


def _trsm(  # noqa: PLR0913 - BLAS's own
    side: bytes, triangle: Array, out: Array, op: bytes, *, lower: bool, unit: bool
) -> None:
    if not out.size:
        return
    _check_out(out)
    # What is lower by rows is upper by columns.
    letters = side, b"U" if lower else b"L", op, b"U" if unit else b"N"
    sizes = out.shape[1], out.shape[0]
    numbers = _number(1.0, out), triangle, _lead(triangle), out, _lead(out)
    _call("trsm", out, *letters, *sizes, *numbers)


def _lead(array: Array) -> int:
    """Return the distance of rows, in elements; the columns must be neighbours."""
    (m, n), (rows, cols) = array.shape, array.strides
    lead, rest = divmod(rows, array.itemsize) if m > 1 else (n, 0)
    if (n > 1 and cols != array.itemsize) or lead < n or rest:
        raise ValueError(
            f"strides {array.strides} of a {m} x {n} array of {array.dtype}: columns"
            " must be neighbours, and rows must follow each other without overlap"
        )
    return max(1, lead)


def _check_out(out: Array) -> None:
    if not out.flags.writeable:
        raise ValueError("the array to change is read-only; copy it first")


def _number(value: complex, like: Array) -> Array:
    return np.array([value], like.dtype)


def _call(name: str, like: Array, *words: Any) -> None:
    """Call a routine of BLAS, which takes the address of everything."""
    arguments: list[Any] = []
    for word in words:
        if isinstance(word, bytes):
            arguments.append(ctypes.c_char_p(word))
        elif isinstance(word, np.ndarray):
            if word.dtype != like.dtype:
                raise TypeError(f"dtypes {word.dtype} and {like.dtype} are mixed")
            arguments.append(word.ctypes.data_as(ctypes.c_void_p))
        else:
            if word > INT_MAX:
                raise ValueError(f"{word} elements: {name} counts to {INT_MAX}")
            arguments.append(ctypes.byref(ctypes.c_int(word)))
    _routine(LETTERS[like.dtype.str[1:]] + name)(*arguments)


@cache
def _routine(name: str) -> Callable[..., None]:
    """Return a routine of the BLAS; it lets other threads run meanwhile."""
    if chosen := os.environ.get(LIBRARY):
        try:
            found: Callable[..., None] = ctypes.CDLL(chosen)[name + "_"]
        except (OSError, AttributeError) as error:
            raise LaunchError(
                f"{LIBRARY} is {chosen}, which is no BLAS with a {name}_: {error}; name"
                " a library's file, or unset it for SciPy's"
            ) from error
        return found
    capsule = cython_blas.__pyx_capi__[name]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    address = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    return ctypes.CFUNCTYPE(None)(address)
