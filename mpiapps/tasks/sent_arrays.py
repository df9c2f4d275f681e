"""Large arrays of tasks, which a worker keeps for the tasks that follow.

For ranks that cannot map the memory of the root, as on several hosts: the first tasks
have the array, the next ones its key. A worker that does not have the array reports
that, and the task is sent again with it.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pickle import PickleBuffer
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.tasks.host_arrays import Key, Reduced

# Of a worker's arrays, or those of its latest batch if larger. They outlive their call:
# the next batch drops what exceeds this, and the end of the pool drops them all.
MAX_KEPT_BYTES = 2**28


class MissingArrayError(LookupError):
    """A worker does not have an array, of which its task has only the key."""


@dataclass
class SentArray:
    """An array that is kept with its number. `batches` have it and have not ended."""

    array: npt.NDArray[Any]
    number: int
    sent: int = 0
    batches: int = 0


class SentArrays:
    """Arrays of the tasks of calls. Root only; any thread; as `HostArrays`.

    Parameters
    ----------
    workers : int
        Number of workers: so many batches carry the array. A worker that none of them
        reached reports it missing.
    """

    def __init__(self, workers: int) -> None:
        self._lock = threading.Lock()
        self._arrays: dict[Key, SentArray] = {}
        self._workers = workers

    def borrow(
        self, call: str | None, array: npt.NDArray[Any], used: list[Key], *, whole: bool
    ) -> Reduced:
        """Return the function and arguments that rebuild an array on a worker.

        `used` gets its key, for `release`. `whole`: send the array in any case.
        """
        key = call, id(array)
        with self._lock:
            if key not in self._arrays:
                self._arrays[key] = SentArray(array, next(_NUMBERS))
            entry = self._arrays[key]
            entry.batches += 1
            used.append(key)
            if not whole and entry.sent >= self._workers:
                return kept_array, (entry.number,)
            entry.sent += 1
        if not array.flags.forc:
            array = np.ascontiguousarray(array)
        content = array.reshape(-1, order="A").view(np.uint8)
        buffer = PickleBuffer(content.data)
        layout = array.shape, array.strides, array.dtype
        return keep_array, (entry.number, buffer, *layout)

    def release(self, used: list[Key]) -> None:
        """End the use of arrays by a batch."""
        with self._lock:
            for key in used:
                self._arrays[key].batches -= 1
                if not self._arrays[key].batches:
                    del self._arrays[key]


_NUMBERS = itertools.count()


class KeptArrays:
    """The arrays that this worker keeps, the latest used last. Local."""

    def __init__(self) -> None:
        self._arrays: OrderedDict[int, npt.NDArray[Any]] = OrderedDict()
        self._used: set[int] = set()  # by the present batch

    def add(self, number: int, array: npt.NDArray[Any]) -> None:
        """Keep an array of a batch."""
        self._arrays[number] = array

    def find(self, number: int) -> npt.NDArray[Any]:
        """Return an array for a batch; raise `MissingArrayError` if it is not kept."""
        if number not in self._arrays:
            raise MissingArrayError(f"array {number} is not kept by this worker")
        self._arrays.move_to_end(number)
        self._used.add(number)
        return self._arrays[number]

    @property
    def nbytes(self) -> int:
        """Return the bytes of all arrays."""
        return sum(array.nbytes for array in self._arrays.values())

    def trim(self) -> None:
        """Drop the arrays that were not used for the longest time, after a batch."""
        nbytes = self.nbytes
        while nbytes > MAX_KEPT_BYTES and next(iter(self._arrays)) not in self._used:
            nbytes -= self._arrays.popitem(last=False)[1].nbytes
        self._used.clear()

    def clear(self) -> None:
        """Drop all arrays."""
        self._arrays.clear()


KEPT = KeptArrays()


def keep_array(
    number: int,
    buffer: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: np.dtype[Any],
) -> npt.NDArray[Any]:
    """Return a read-only array in a buffer, and keep it on this worker. Local."""
    memory = np.frombuffer(memoryview(buffer).toreadonly(), np.uint8)
    array: npt.NDArray[Any] = np.ndarray(shape, dtype, memory, 0, strides)
    KEPT.add(number, array)
    return KEPT.find(number)


def kept_array(number: int) -> npt.NDArray[Any]:
    """Return an array that this worker keeps. Local."""
    return KEPT.find(number)
