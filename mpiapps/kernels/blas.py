"""Products and triangular solves in place, on parts of larger arrays.

SciPy's wrappers copy arrays that are not contiguous. These functions pass a submatrix
with its leading dimension to the BLAS that SciPy links (exported by `cython_blas`), and
arrays on a device to the BLAS of `backends`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.base.errors import LaunchError
from mpiapps.kernels.backends import backend_of
from mpiapps.kernels.imports import cython_routines

Array = npt.NDArray[Any]
# trsm runs at half the speed of gemm: a larger triangle is split recursively, so that
# most of the work is gemm.
MAX_TRSM_SIZE = 64
# Path of another BLAS with 32-bit integers: libmkl_rt.so, libblis.so.
BLAS_VARIABLE = "MPIAPPS_BLAS"
INT_MAX = 2**31 - 1
STRIP = 64  # rows that are transposed at a time: a few pages fit in the TLB
OPS = {"N": b"N", "T": b"T", "H": b"C"}
ROUTINES = cython_routines("cython_blas")
TYPE_PREFIXES = {"f4": "s", "f8": "d", "c8": "c", "c16": "z"}


def add_product(  # noqa: PLR0913 - the arguments of BLAS gemm
    out: Array,
    a: Array,
    b: Array,
    alpha: complex = 1.0,
    op_b: str = "N",
    *,
    op_a: str = "N",
    overwrite: bool = False,
) -> None:
    """Compute ``out += alpha op(a) op(b)`` in place (gemm, or gemv for a vector).

    Parameters
    ----------
    out, a, b : ndarray
        m x n, m x k, and k x n (a and b transposed with an op), all of one dtype: f4,
        f8, c8 or c16. Row-major with any leading dimension. `out` must be writeable.
    alpha : number
    op_a, op_b : {"N", "T", "H"}
        Use the operand unchanged, transposed, or conjugate transposed.
    overwrite : bool
        Do not read `out`: ``out = alpha op(a) op(b)``.

    Notes
    -----
    Cost: ``2 m n k`` flops (four times as many for complex). BLAS is column-major, so
    gemm computes ``out.T += alpha op(b).T op(a).T``. With one row or column, gemv is
    twice as fast as gemm.
    """
    (m, n), k = out.shape, a.shape[1 if op_a == "N" else 0]
    shapes = (m, k) if op_a == "N" else (k, m), (k, n) if op_b == "N" else (n, k)
    if (a.shape, b.shape) != shapes:
        raise ValueError(
            f"gemm shapes do not match: {out.shape} += {a.shape} times {b.shape} with"
            f" op_a {op_a!r} and op_b {op_b!r}; expected {shapes[0]} and {shapes[1]}"
        )
    if not (m and n):
        return
    _check_out(out)
    if not k:
        if overwrite:
            out[...] = 0
        return
    factor, old = _number(alpha, out), _number(0.0 if overwrite else 1.0, out)
    if out.dtype.kind != "c":
        op_a, op_b = op_a.replace("H", "T"), op_b.replace("H", "T")
    if 1 in {m, n} and "H" not in {op_a, op_b}:  # gemv conjugates neither alone
        matrix, x, op = (a, b, op_a) if n == 1 else (b, a, op_b)
        letter = b"T" if (op == "N") == (n == 1) else b"N"
        _call(
            "gemv",
            out,
            *(letter, *matrix.shape[::-1], factor, matrix, _ld(matrix)),
            *(x, _increment(x), old, out, _increment(out)),
        )
        return
    _call(
        "gemm",
        out,
        *(OPS[op_b], OPS[op_a], n, m, k, factor, b, _ld(b), a, _ld(a)),
        *(old, out, _ld(out)),
    )


def set_gram(out: Array, a: Array) -> None:
    """Compute ``out = a.H a``, exactly Hermitian (syrk, herk).

    Parameters
    ----------
    out, a : ndarray
        n x n and k x n, of one dtype, row-major as for `add_product`.

    Notes
    -----
    Cost: ``n^2 k`` flops, half of those of a product: one triangle is computed, and
    copied to the other.
    """
    (k, n), (rows, cols) = a.shape, out.shape
    if (rows, cols) != (n, n):
        raise ValueError(f"gram shapes do not match: {out.shape} = {a.shape}, squared")
    if not n:
        return
    _check_out(out)
    if not k:
        out[...] = 0
        return
    if n == 1 and isinstance(a, np.ndarray):  # dot is ten times as fast as syrk
        out[0, 0] = np.vdot(a, a).real
        return
    if not isinstance(a, np.ndarray) and out.dtype.kind == "c":  # cuBLAS's herk
        # is not among the routines that CuPy exports.
        add_product(out, a, a, op_a="H", overwrite=True)
        mirror_upper(out)
        return
    # A column-major lower triangle is a row-major upper one.
    real = np.zeros((), out.dtype).real
    _call(
        "herk" if out.dtype.kind == "c" else "syrk",
        out,
        *(b"L", b"N", n, k, _number(1.0, real), a, _ld(a)),
        *(_number(0.0, real), out, _ld(out)),
    )
    mirror_upper(out)


def mirror_upper(out: Array) -> None:
    """Copy the upper triangle of a square matrix, conjugated, to the lower one."""
    if not isinstance(out, np.ndarray):
        backend_of(out).mirror_upper(out)
        return
    for start in range(0, len(out), STRIP):
        rows = slice(start, start + STRIP)
        block = out[rows, rows]
        lower = np.tri(len(block), k=-1, dtype=bool)
        block[lower] = block.T.conj()[lower]
        right = out[rows, start + STRIP :].T
        out[start + STRIP :, rows] = right.conj() if out.dtype.kind == "c" else right


def solve_rows(
    triangle: Array, out: Array, *, lower: bool, unit: bool = False, op: str = "N"
) -> None:
    """Compute ``out = op(triangle)^-1 out`` in place (trsm from the left, or trsv).

    Parameters
    ----------
    triangle : ndarray, n x n
        The other triangle is not read.
    out : ndarray, n x m
    lower, unit : bool
        Use the lower triangle; assume a unit diagonal.
    op : {"N", "T", "H"}
    """
    n = triangle.shape[0]
    is_array = isinstance(out, np.ndarray)
    if out.shape[1] == 1 and is_array and (op != "H" or out.dtype.kind != "c"):
        _trsv(triangle, out, lower=lower, unit=unit, op=op)
        return
    if n <= MAX_TRSM_SIZE or not is_array:
        _trsm(b"R", triangle, out, OPS[op], lower=lower, unit=unit)
        return
    first, last = _halves(n, lower=bool(lower) == (op == "N"))
    part = triangle[last, first] if op == "N" else triangle[first, last]
    solve_rows(triangle[first, first], out[first], lower=lower, unit=unit, op=op)
    add_product(out[last], part, out[first], -1, op_a=op)
    solve_rows(triangle[last, last], out[last], lower=lower, unit=unit, op=op)


def solve_columns(triangle: Array, out: Array, *, lower: bool) -> None:
    """Compute ``out = out triangle.H^-1`` in place, out m x n; as `solve_rows`."""
    n = triangle.shape[0]
    if n <= MAX_TRSM_SIZE or not isinstance(out, np.ndarray):
        triangle = triangle.conj() if triangle.dtype.kind == "c" else triangle
        _trsm(b"L", triangle, out, b"T", lower=lower, unit=False)
        return
    first, last = _halves(n, lower=lower)
    solve_columns(triangle[first, first], out[:, first], lower=lower)
    add_product(out[:, last], out[:, first], triangle[last, first], -1, "H")
    solve_columns(triangle[last, last], out[:, last], lower=lower)


def _halves(n: int, *, lower: bool) -> tuple[slice, slice]:
    """Return the unknowns to solve for first and last, each one half."""
    middle = n // 2
    halves = slice(0, middle), slice(middle, n)
    return halves if lower else halves[::-1]


def _trsm(  # noqa: PLR0913 - the arguments of BLAS trsm
    side: bytes, triangle: Array, out: Array, op: bytes, *, lower: bool, unit: bool
) -> None:
    if not out.size:
        return
    _check_out(out)
    # A row-major lower triangle is a column-major upper one.
    letters = side, b"U" if lower else b"L", op, b"U" if unit else b"N"
    sizes = out.shape[1], out.shape[0]
    numbers = _number(1.0, out), triangle, _ld(triangle), out, _ld(out)
    _call("trsm", out, *letters, *sizes, *numbers)


def _trsv(triangle: Array, vector: Array, *, lower: bool, unit: bool, op: str) -> None:
    if not vector.size:
        return
    _check_out(vector)
    # Column-major, the triangle is the other one, transposed.
    letters = b"U" if lower else b"L", b"T" if op == "N" else b"N"
    diagonal = b"U" if unit else b"N"
    matrix = len(vector), triangle, _ld(triangle)
    _call("trsv", vector, *letters, diagonal, *matrix, vector, _increment(vector))


def _ld(array: Array) -> int:
    """Return the leading dimension in elements; raise if not row-major."""
    (m, n), (rows, cols) = array.shape, array.strides
    leading, rest = divmod(rows, array.itemsize) if m > 1 else (n, 0)
    if (n > 1 and cols != array.itemsize) or leading < n or rest:
        raise ValueError(
            f"strides {array.strides} of a {m} x {n} array of {array.dtype}: the"
            " array must be row-major without overlapping rows; copy it first"
        )
    return max(1, leading)


def _increment(vector: Array) -> int:
    """Return the distance in elements of a row or column's elements."""
    return _ld(vector) if vector.shape[1] == 1 else 1


def _check_out(out: Array) -> None:
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ValueError("the output array is read-only; copy it first")


def _number(value: complex, like: Array) -> Array:
    return np.array([value], like.dtype)


def _call(name: str, like: Array, *values: Any) -> None:
    """Call a BLAS routine; BLAS takes every argument by reference."""
    prefix = TYPE_PREFIXES[like.dtype.str[1:]]
    if not isinstance(like, np.ndarray):
        backend_of(like).blas(prefix + name, *values)
        return
    arguments: list[Any] = []
    for argument in values:
        if isinstance(argument, bytes):
            arguments.append(ctypes.c_char_p(argument))
        elif isinstance(argument, np.ndarray):
            if argument.ndim == 2 and argument.dtype != like.dtype:
                raise TypeError(f"dtypes {argument.dtype} and {like.dtype} are mixed")
            arguments.append(ctypes.c_void_p(argument.ctypes.data))
        else:
            if argument > INT_MAX:
                raise ValueError(
                    f"{name}: size {argument} exceeds {INT_MAX}, the largest BLAS int"
                )
            arguments.append(ctypes.byref(ctypes.c_int(argument)))
    _routine(prefix + name)(*arguments)


@cache
def _routine(name: str) -> Callable[..., None]:
    """Return a BLAS routine that releases the GIL."""
    if library := os.environ.get(BLAS_VARIABLE):
        try:
            routine: Callable[..., None] = ctypes.CDLL(library)[name + "_"]
        except (OSError, AttributeError) as error:
            raise LaunchError(
                f"{BLAS_VARIABLE}={library}: cannot load {name}_: {error}; set it"
                " to the file of a BLAS library, or unset it to use SciPy's"
            ) from error
        return routine
    return from_capsule(ROUTINES[name])


def from_capsule(capsule: object) -> Callable[..., None]:
    """Return a routine that SciPy exports; it releases the GIL."""
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    address = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    return ctypes.CFUNCTYPE(None)(address)
