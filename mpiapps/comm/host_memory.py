"""Memory that the processes of a host share by reference, also those without MPI.

A process allocates it, and any other process of the same user on this host maps it, as
long as the first one runs: ranks, workers of Dask and joblib, children of ranks. It is
gone with the last of them, however they end. Linux only; starts no MPI.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import socket
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Place = tuple[str, int]  # a path in /proc, and the inode of the memory
Places = Mapping[str, Place]  # by host: `host_key`


class HostMemory:
    """Bytes of this host's memory. Local.

    Parameters
    ----------
    nbytes : int
        More than 0.

    Attributes
    ----------
    array : ndarray of uint8
        Initially zero.
    place : Place
        Where other processes of this host find it, until `close`.
    """

    def __init__(self, nbytes: int) -> None:
        self._descriptor = os.memfd_create("mpiapps")
        os.ftruncate(self._descriptor, nbytes)
        self.array: Bytes = np.frombuffer(mmap.mmap(self._descriptor, nbytes), np.uint8)
        path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        self.place: Place = path, os.fstat(self._descriptor).st_ino

    @cached_property
    def places(self) -> Places:
        """The place, for the processes of this host alone."""
        return {host_key(): self.place}

    def close(self) -> None:
        """Let no further process map it; it is freed once no process does."""
        os.close(self._descriptor)


class References:
    """Which memory of this process others can map. Local."""

    def __init__(self) -> None:
        self._mapped: WeakValueDictionary[Place, Bytes] = WeakValueDictionary()
        self._places: dict[Place, Places] = {}

    @property
    def nbytes(self) -> int:
        """The bytes that this process has mapped."""
        return sum(memory.nbytes for memory in self._mapped.values())

    def find(self, array: npt.NDArray[Any]) -> tuple[Places, int] | None:
        """Return where an array lies, and its first byte there; None if elsewhere."""
        low, high = np.lib.array_utils.byte_bounds(array)
        for place, memory in self._mapped.items():
            first = _address(memory)
            if first <= low and high <= first + memory.nbytes:
                return self._places[place], _address(array) - first
        return None

    def map(self, places: Places) -> Bytes:
        """Return memory of this host, read-only; a process maps it once.

        Raises
        ------
        OSError
            If its process has ended, or closed it.
        """
        place = places[host_key()]
        if (memory := self._mapped.get(place)) is not None:
            return memory
        path, inode = place
        with Path(path).open("rb") as file:
            if os.fstat(file.fileno()).st_ino != inode:
                raise FileNotFoundError(f"{path} is no longer memory to share")
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._mapped[place] = memory = np.frombuffer(content, np.uint8)
        self._places = {at: self._places.get(at, places) for at in self._mapped}
        return memory


REFERENCES = References()


def is_supported() -> bool:
    """Return whether this system has such memory. Local."""
    return hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()


def host_key() -> str:
    """Return what the processes that can map each other's memory have in common."""
    return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"


def dumps(value: Any) -> bytes:
    """Pickle a value, with references in the place of arrays that others can map.

    Local; raises the errors of pickling. The result is for the hosts that have the
    memory, while it exists, and `pickle.loads` restores it: such arrays are read-only.
    """
    stream = io.BytesIO()
    _Pickler(stream, protocol=5).dump(value)
    return stream.getvalue()


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if type(value) is not np.ndarray or not value.nbytes:
            return NotImplemented
        if (found := REFERENCES.find(value)) is None:
            return NotImplemented
        return view, (*found, value.shape, value.strides, value.dtype)


def view(
    places: Places,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: np.dtype[Any],
) -> npt.NDArray[Any]:
    """Return an array in memory of this host, read-only. Local; raises as `map`."""
    return np.ndarray(shape, dtype, REFERENCES.map(places), offset, strides)


def _address(array: npt.NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
