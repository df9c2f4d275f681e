"""Reused work arrays: new memory costs a page fault every few KiB."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.device.arrays import array_module


class Workspace:
    """Named work arrays, each as large as its largest use.

    Parameters
    ----------
    dtype : dtype
        The dtype of all arrays.
    block : ndarray, optional
        The arrays are on the same device as this one. Default: in host memory.
    """

    def __init__(self, dtype: np.dtype[Any], block: Array | None = None) -> None:
        self._dtype = dtype
        self._module = np if block is None else array_module(block)
        self._arrays: dict[str, Array] = {}

    def get(self, name: str, *shape: int) -> Array:
        """Return an uninitialised array; it reuses the memory of the last `name`."""
        size = math.prod(shape)
        array = self._arrays.get(name)
        if array is None or array.size < size:
            array = self._arrays[name] = self._module.empty(size, self._dtype)
        return array[:size].reshape(shape)
