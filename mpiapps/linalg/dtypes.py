"""The dtypes that BLAS and LAPACK compute in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

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
