"""Large arrays of tasks, in memory that the processes of their host map."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mpiapps.comm.host_memory import REFERENCES, HostMemory, Locations

# Arguments of `mpiapps.comm.host_memory.view`.
Reference = tuple[Locations, int, tuple[int, ...], tuple[int, ...], np.dtype[Any]]
Key = tuple[int, int]  # of a call and an array, by identity


@dataclass
class SharedCopy:
    """A copy of an array, and how many batches have it. The array is kept with it."""

    array: npt.NDArray[Any]
    memory: HostMemory
    reference: Reference
    batches: int = 0


class HostArrays:
    """Copies of arrays, one for all batches of tasks of a call. Local; any thread.

    An array is copied for the first batch that has it, and the copy is freed with the
    last of them that has not ended, so the array must not change before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._copies: dict[Key, SharedCopy] = {}

    def borrow(self, call: int, array: npt.NDArray[Any], used: list[Key]) -> Any:
        """Return a `Reference` to the copy of an array, for a batch of a call.

        Parameters
        ----------
        call : int
        array : ndarray
        used : list
            Gets the key of the copy, for `release`.

        Returns
        -------
        Reference or None
            None if the system has no more files or memory for a copy.
        """
        if (location := REFERENCES.find(array)) is not None:
            return *location, array.shape, array.strides, array.dtype
        key = call, id(array)
        with self._lock:
            if key not in self._copies:
                try:
                    self._copies[key] = _copy(array)
                except OSError:
                    return None
            self._copies[key].batches += 1
            used.append(key)
            return self._copies[key].reference

    def release(self, used: list[Key]) -> None:
        """End the use of copies by a batch."""
        with self._lock:
            for key in used:
                copy = self._copies[key]
                copy.batches -= 1
                if not copy.batches:
                    del self._copies[key]
                    copy.memory.close()


def _copy(array: npt.NDArray[Any]) -> SharedCopy:
    memory = HostMemory(array.nbytes)
    order: Literal["C", "F"] = "F" if array.flags.f_contiguous else "C"
    copy = np.ndarray(array.shape, array.dtype, memory.array, order=order)
    copy[...] = array
    reference = memory.locations, 0, copy.shape, copy.strides, copy.dtype
    return SharedCopy(array, memory, reference)
