"""The dtypes of matrices: those of BLAS and LAPACK, and bool for masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.base.errors import InputError
from mpiapps.comm.chunking import Array

MAX_EXACT_INTEGER = 2**53  # no integer up to it is rounded in float64
DTYPES = tuple(np.dtype(code) for code in ("f4", "f8", "c8", "c16"))
BOOL = np.dtype(bool)
# str(dtype) takes 2 us.
NAMES = {dtype: str(dtype) for dtype in (*DTYPES, BOOL)}


def check_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return `dtype` if a matrix can have it, else raise `TypeError`."""
    result = np.dtype(dtype)
    if result not in NAMES:
        raise TypeError(
            f"dtype {result}: expected float32, float64, complex64 or complex128, or"
            " bool for masks; convert with astype"
        )
    return result


def flop_weight(dtype: np.dtype[Any]) -> float:
    """Return the time of an operation on numbers, relative to float64.

    Vectors hold twice as many numbers of single precision, and a complex product and
    sum are four real ones.
    """
    components = 2 if dtype.kind == "c" else 1
    return components * dtype.itemsize / 8


def refuse_masks(call: str, *dtypes: np.dtype[Any]) -> None:
    """Raise `TypeError` if one of `dtypes` is bool, which BLAS does not have."""
    if BOOL in dtypes:
        raise TypeError(
            f"{call} of a matrix of dtype bool: expected numbers; convert the matrix"
            " with A.astype(float)"
        )


def native_dtype(dtype: np.dtype[Any], path: str | Path) -> np.dtype[Any]:
    """Return the dtype for the elements of a file, in native byte order.

    Integers become float64, float16 becomes float32.

    Raises
    ------
    InputError
        If `dtype` is not numeric, or has a precision that BLAS does not have.
    """
    if dtype.hasobject or dtype.kind not in "fciub":
        raise InputError(
            f"{path} holds {dtype}; expected numbers; convert them with astype, or save"
            " one field"
        )
    native = dtype.newbyteorder("=")
    if native.kind in "iub":
        return np.dtype(float)
    if native == np.float16:
        return np.dtype(np.float32)
    if native not in DTYPES:
        raise InputError(
            f"{path} holds {dtype}; expected float32, float64, complex64 or complex128;"
            " convert with astype"
        )
    return native


def to_native(local: Array, path: str | Path) -> Array:
    """Return the elements of a file converted to `native_dtype`.

    Raises
    ------
    InputError
        If `native_dtype` raises it, or float64 would round an integer.
    """
    dtype = native_dtype(local.dtype, path)
    if local.dtype.kind in "iu" and local.size:
        largest = max(int(local.min()), int(local.max()), key=abs)
        if abs(largest) > MAX_EXACT_INTEGER:
            raise InputError(
                f"{path} holds the integer {largest}, but float64 is exact only up to"
                " 2**53; if rounding is acceptable, store the matrix as float64"
            )
    return local.astype(dtype, copy=False)
