"""Large arrays of tasks, in memory that the processes of their host map."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mpiapps.comm.host_memory import REFERENCES, HostMemory, Locations, view

# Arguments of `mpiapps.comm.host_memory.view`.
Reference = tuple[Locations, int, tuple[int, ...], tuple[int, ...], np.dtype[Any]]
Key = tuple[str | None, int]  # the id of a call, and an array, by identity
Reduced = tuple[Callable[..., Any], tuple[Any, ...]]  # a function and its arguments


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

    def borrow(
        self, call: str | None, array: npt.NDArray[Any], used: list[Key], *, whole: bool
    ) -> Reduced | None:
        """Return the function and arguments that rebuild an array, a view of its copy.

        Parameters
        ----------
        call : str or None
            Its id, which no other call has.
        array : ndarray
        used : list
            Gets the key of the copy, for `release`.
        whole : bool
            As in `SentArrays`; no array is sent here.

        Returns
        -------
        Reduced or None
            None if the system has no more files or memory for a copy.
        """
        del whole
        if (location := REFERENCES.find(array)) is not None:
            return view, (*location, array.shape, array.strides, array.dtype)
        key = call, id(array)
        with self._lock:
            if key not in self._copies:
                try:
                    self._copies[key] = _copy(array)
                except OSError:
                    return None
            self._copies[key].batches += 1
            used.append(key)
            return view, self._copies[key].reference

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
