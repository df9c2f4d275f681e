"""Reused work arrays: new memory costs a page fault every few KiB."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array


class Workspace:
    """Named work arrays, each as large as its largest use.

    Parameters
    ----------
    dtype : dtype
        The dtype of all arrays.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._arrays: dict[str, Array] = {}

    def get(self, name: str, *shape: int) -> Array:
        """Return an uninitialised array; it reuses the memory of the last `name`."""
        size = math.prod(shape)
        array = self._arrays.get(name)
        if array is None or array.size < size:
            array = self._arrays[name] = np.empty(size, self._dtype)
        return array[:size].reshape(shape)
