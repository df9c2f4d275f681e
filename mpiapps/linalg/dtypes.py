"""The dtypes that BLAS and LAPACK compute in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.base.errors import InputError

DTYPES = tuple(np.dtype(each) for each in ("f4", "f8", "c8", "c16"))


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

    Raises
    ------
    InputError
        If they are no numbers, or of a precision that BLAS does not have.
    """
    if dtype.hasobject or dtype.kind not in "fciub":
        raise InputError(f"{path} holds {dtype}; expected numbers")
    native = dtype.newbyteorder("=")
    if native.kind in "iub":
        return np.dtype(float)
    if native not in DTYPES:
        raise InputError(
            f"{path} holds {dtype}; expected float32, float64, complex64 or complex128"
        )
    return native
