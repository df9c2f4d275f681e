"""The dtypes that BLAS and LAPACK compute in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.base.errors import InputError
from mpiapps.comm.cut import Array

EXACT = 2**53  # no integer up to it is rounded in float64
DTYPES = tuple(np.dtype(each) for each in ("f4", "f8", "c8", "c16"))
NAMES = {dtype: str(dtype) for dtype in DTYPES}  # NumPy takes 2 us for one


def checked(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return `dtype` if it is one of `DTYPES`, else raise `TypeError`. Local."""
    found = np.dtype(dtype)
    if found not in DTYPES:
        raise TypeError(
            f"dtype {found} is none of float32, float64, complex64, complex128;"
            " convert with astype"
        )
    return found


def usual(dtype: np.dtype[Any], path: str | Path) -> np.dtype[Any]:
    """Return the dtype that a file's elements get, of this machine's order. Local.

    Integers become float64, float16 becomes float32.

    Raises
    ------
    InputError
        If they are not numbers, or of a precision that BLAS does not have.
    """
    if dtype.hasobject or dtype.kind not in "fciub":
        raise InputError(f"{path} holds {dtype}; expected numbers")
    native = dtype.newbyteorder("=")
    if native.kind in "iub":
        return np.dtype(float)
    if native == np.float16:
        return np.dtype(np.float32)
    if native not in DTYPES:
        raise InputError(
            f"{path} holds {dtype}; expected float32, float64, complex64 or complex128"
        )
    return native


def as_usual(local: Array, path: str | Path) -> Array:
    """Return a file's elements in their `usual` dtype. Local.

    Raises
    ------
    InputError
        If `usual` does, or an integer is too large for float64 to hold exactly.
    """
    dtype = usual(local.dtype, path)
    if local.dtype.kind in "iu" and local.size:
        largest = max(int(local.min()), int(local.max()), key=abs)
        if abs(largest) > EXACT:
            raise InputError(
                f"{path} holds the integer {largest}, and float64 is exact up to 2**53;"
                " if its last digits do not matter, store it as float64"
            )
    return local.astype(dtype, copy=False)
