"""Bytes of one file, read and written by all ranks at once, each its own part."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mpiapps.base.errors import InputError
from mpiapps.comm.mpi import MPI

CHUNK = 2**26  # bytes of one read or write
# ... of one write that the disk is told to begin with: small, to keep it busy early.
FLUSHED = 2**22
WAYS = ("posix", "mpiio")
Bytes = npt.NDArray[np.uint8]
FilePath = str | Path  # of a file that all ranks see


def _chunks(data: Bytes, size: int = CHUNK) -> Iterator[tuple[int, Bytes]]:
    for start in range(0, data.size, size):
        yield start, data[start : start + size]


def _pread(_comm: MPI.Intracomm, path: FilePath, start: int, data: Bytes) -> None:
    with Path(path).open("rb", buffering=0) as stream:
        for first, chunk in _chunks(data):
            done = 0
            while done < chunk.size:
                at = start + first + done
                got = os.preadv(stream.fileno(), [chunk[done:].data], at)
                if got == 0:
                    raise InputError(f"{path} became shorter while it was read")
                done += got


def _pwrite(_comm: MPI.Intracomm, path: FilePath, start: int, data: Bytes) -> None:
    with Path(path).open("r+b", buffering=0) as stream:
        for first, chunk in _chunks(data, FLUSHED):
            done = 0
            while done < chunk.size:
                at = start + first + done
                done += os.pwritev(stream.fileno(), [chunk[done:].data], at)
            _flush_soon(stream.fileno(), start + first, chunk.size)
        os.fsync(stream.fileno())


def _flush_soon(file: int, start: int, size: int) -> None:
    """Let the disk begin with some bytes, while the next are copied. Local.

    A hint that Linux takes (``man 2 sync_file_range``): the fsync at the end then finds
    little left to do, and reports what went wrong.
    """
    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        write = 2
        call(file, ctypes.c_int64(start), ctypes.c_int64(size), write)


def _mpi_read(comm: MPI.Intracomm, path: FilePath, start: int, data: Bytes) -> None:
    with _opened(comm, path, MPI.MODE_RDONLY) as file:
        for first, chunk in _chunks(data):
            file.Read_at(start + first, chunk)


def _mpi_write(comm: MPI.Intracomm, path: FilePath, start: int, data: Bytes) -> None:
    with _opened(comm, path, MPI.MODE_WRONLY) as file:
        for first, chunk in _chunks(data):
            file.Write_at(start + first, chunk)
        file.Sync()


@contextmanager
def _opened(comm: MPI.Intracomm, path: FilePath, mode: int) -> Iterator[MPI.File]:
    try:
        file = MPI.File.Open(comm, os.fspath(path), mode)
    except MPI.Exception as error:
        raise OSError(error.Get_error_string()) from error
    try:
        yield file
    finally:
        file.Close()


Move = Callable[[MPI.Intracomm, FilePath, int, Bytes], None]
READ: Mapping[str, Move] = {"posix": _pread, "mpiio": _mpi_read}
WRITE: Mapping[str, Move] = {"posix": _pwrite, "mpiio": _mpi_write}


def checked_way(way: str) -> str:
    """Return `way` if it is one of `WAYS`, else raise `ValueError`. Local."""
    if way not in WAYS:
        raise ValueError(f"way {way!r} is not one of {', '.join(WAYS)}")
    return way
