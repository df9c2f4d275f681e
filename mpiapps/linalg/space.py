"""Arrays that are used again: fresh memory costs a page fault every few KiB."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mpiapps.comm.cut import Array


class Space:
    """Memory by name, that grows to the largest array taken. Local.

    Parameters
    ----------
    dtype : dtype
        Of all arrays.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._kept: dict[str, Array] = {}

    def take(self, name: str, *shape: int) -> Array:
        """Return an array of unset elements; it ends the life of the last `name`."""
        size = math.prod(shape)
        found = self._kept.get(name)
        if found is None or found.size < size:
            found = self._kept[name] = np.empty(size, self._dtype)
        return found[:size].reshape(shape)
