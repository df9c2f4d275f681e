"""BLAS and LAPACK for arrays of other modules than NumPy, such as CuPy's."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Backend(Protocol):
    """Routines on the memory of one type of arrays. All calls are local.

    They may return before the device is done; a later call sees their results.
    """

    def blas(self, name: str, *values: Any) -> None:
        """Call a BLAS routine: letters as bytes, sizes, arrays, and NumPy scalars."""

    def mirror_upper(self, out: Any) -> None:
        """Copy the upper triangle, conjugated, to the lower one; real diagonal."""

    def potrf(self, whole: Any) -> int:
        """Compute the upper Cholesky factor in place; return LAPACK's info.

        `whole` is column-major; elements below the diagonal are set to zero.
        """

    def getrf(self, whole: Any) -> tuple[npt.NDArray[np.int32], int]:
        """Compute LU factors in place; return zero-based pivots, and LAPACK's info.

        `whole` is column-major.
        """


BACKENDS: dict[type, Backend] = {}  # `mpiapps.device.arrays` adds CuPy's


def backend_of(array: object) -> Backend:
    """Return the routines for an array, by its type."""
    return BACKENDS[type(array)]
