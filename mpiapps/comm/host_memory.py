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
import threading
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Location = tuple[str, int]  # a path in /proc, and the inode of the memory
Locations = Mapping[str, Location]  # by host: `host_key`


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
    location : Location
        Where other processes of this host find it, until `close`.

    Raises
    ------
    OSError
        If this process has too many open files, or the host too little memory.
    """

    def __init__(self, nbytes: int) -> None:
        self._descriptor = os.memfd_create("mpiapps")
        try:
            os.ftruncate(self._descriptor, nbytes)
            content = mmap.mmap(self._descriptor, nbytes)
        except BaseException:
            self.close()
            raise
        self.array: Bytes = np.frombuffer(content, np.uint8)
        path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        self.location: Location = path, os.fstat(self._descriptor).st_ino

    @cached_property
    def locations(self) -> Locations:
        """The location, for the processes of this host alone."""
        return {host_key(): self.location}

    def close(self) -> None:
        """Let no further process map it; it is freed once no process does. Local."""
        os.close(self._descriptor)


class References:
    """Which memory of this process others can map. Local; any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # garbage collection may end memory meanwhile
        self._mapped: WeakValueDictionary[Location, Bytes] = WeakValueDictionary()
        self._locations: dict[Location, Locations] = {}

    @property
    def nbytes(self) -> int:
        """The bytes that this process has mapped."""
        with self._lock:
            return sum(memory.nbytes for memory in list(self._mapped.values()))

    def find(self, array: npt.NDArray[Any]) -> tuple[Locations, int] | None:
        """Return where an array is, and its first byte there; None if elsewhere."""
        low, high = np.lib.array_utils.byte_bounds(array)
        with self._lock:
            for location, memory in list(self._mapped.items()):
                first = _address(memory)
                if first <= low and high <= first + memory.nbytes:
                    return self._locations[location], _address(array) - first
        return None

    def map(self, locations: Locations) -> Bytes:
        """Return memory of this host, read-only; a process maps it once.

        Raises
        ------
        OSError
            If its process has ended or closed it, or this process may not map it, as in
            another user namespace; or no process of this host has it.
        """
        if (location := locations.get(host_key())) is None:
            raise FileNotFoundError(f"{host_key()} has no such memory")
        path, inode = location
        with self._lock:
            if (memory := self._mapped.get(location)) is not None:
                return memory
            with Path(path).open("rb") as file:
                if os.fstat(file.fileno()).st_ino != inode:
                    raise FileNotFoundError(f"{path} is no longer memory to share")
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            memory = np.frombuffer(content, np.uint8)
            self._locations[location] = locations
            self._mapped[location] = memory
            for ended in self._locations.keys() - set(self._mapped):
                del self._locations[ended]
            return memory


REFERENCES = References()


def is_supported() -> bool:
    """Return whether this system has such memory. Local."""
    return hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()


@cache
def host_key() -> str:
    """Return what the processes that can map each other's memory have in common."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"


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
        if (location := REFERENCES.find(value)) is None:
            return NotImplemented
        return view, (*location, value.shape, value.strides, value.dtype)


def view(
    locations: Locations,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: np.dtype[Any],
) -> npt.NDArray[Any]:
    """Return an array in memory of this host, read-only. Local; raises as `map`."""
    return np.ndarray(shape, dtype, REFERENCES.map(locations), offset, strides)


def _address(array: npt.NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
