"""Large arrays of tasks, in memory that the processes of their host map."""

from __future__ import annotations

import threading
import weakref
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mpiapps.comm.host_memory import REFERENCES, HostMemory, Places

MIN_BYTES = 10**6  # of an array that is not sent with its task; as joblib's
Reference = tuple[Places, int, tuple[int, ...], tuple[int, ...], np.dtype[Any]]


class HostArrays:
    """Copies of arrays, one for all tasks, until `close`. Local; any thread.

    An array is copied when the first task has it, so it must not change before
    `close`. The copy is freed with its array, once no task has it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._copies: dict[int, tuple[weakref.ref[Any], HostMemory, Reference]] = {}

    def reference(self, value: npt.NDArray[Any]) -> Reference | None:
        """Return the arguments of `view` for an array; None if it is sent itself."""
        if value.nbytes < MIN_BYTES or value.dtype.hasobject:
            return None
        if (found := REFERENCES.find(value)) is not None:
            return *found, value.shape, value.strides, value.dtype
        with self._lock:
            entry = self._copies.get(id(value))
            if entry is None or entry[0]() is not value:
                self._free(id(value))
                entry = self._copies[id(value)] = self._copy(value)
            return entry[2]

    def _copy(
        self, array: npt.NDArray[Any]
    ) -> tuple[weakref.ref[Any], HostMemory, Reference]:
        memory = HostMemory(array.nbytes)
        order: Literal["C", "F"] = "F" if array.flags.f_contiguous else "C"
        copy = np.ndarray(array.shape, array.dtype, memory.array, order=order)
        copy[...] = array
        key = id(array)
        own = weakref.ref(array, lambda _: self._forget(key, own))
        return own, memory, (memory.places, 0, copy.shape, copy.strides, copy.dtype)

    def _forget(self, key: int, own: weakref.ref[Any]) -> None:
        """Free the copy of an array that has ended. In any thread, at any time."""
        entry = self._copies.get(key)
        if entry is not None and entry[0] is own:
            self._free(key)

    def _free(self, key: int) -> None:
        if (entry := self._copies.pop(key, None)) is not None:
            entry[1].close()

    def close(self) -> None:
        """Free all copies that no task has."""
        while self._copies:
            self._free(next(iter(self._copies)))
