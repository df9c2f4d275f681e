"""Parallel reading and writing of byte ranges of one file, by POSIX or MPI-IO."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mpiapps.base.errors import InputError
from mpiapps.launch.mpi import MPI

CHUNK_BYTES = 2**26  # per read or write call
FLUSH_BYTES = 2**22  # per sync_file_range: small, so that the disk starts early
IO_METHODS = ("posix", "mpiio")
Bytes = npt.NDArray[np.uint8]
FilePath = str | Path  # visible to all ranks


def _chunks(data: Bytes, size: int = CHUNK_BYTES) -> Iterator[tuple[int, Bytes]]:
    for start in range(0, data.size, size):
        yield start, data[start : start + size]


def _pread(_comm: MPI.Intracomm, path: FilePath, start: int, data: Bytes) -> None:
    with Path(path).open("rb", buffering=0) as stream:
        for first, chunk in _chunks(data):
            done = 0
            while done < chunk.size:
                at = start + first + done
                count = os.preadv(stream.fileno(), [chunk[done:].data], at)
                if count == 0:
                    raise InputError(
                        f"{path} was truncated while it was read; read it again"
                    )
                done += count


def _pwrite(_comm: MPI.Intracomm, path: FilePath, start: int, data: Bytes) -> None:
    with Path(path).open("r+b", buffering=0) as stream:
        for first, chunk in _chunks(data, FLUSH_BYTES):
            done = 0
            while done < chunk.size:
                at = start + first + done
                done += os.pwritev(stream.fileno(), [chunk[done:].data], at)
            _flush_soon(stream.fileno(), start + first, chunk.size)
        os.fsync(stream.fileno())


def _flush_soon(file: int, start: int, size: int) -> None:
    """Start writeback of a range (``man 2 sync_file_range``), if available. Local.

    A hint only: the final fsync then has less to do, and reports errors.
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


Transfer = Callable[[MPI.Intracomm, FilePath, int, Bytes], None]
READ: Mapping[str, Transfer] = {"posix": _pread, "mpiio": _mpi_read}
WRITE: Mapping[str, Transfer] = {"posix": _pwrite, "mpiio": _mpi_write}


def check_method(method: str) -> str:
    """Return `method` if it is one of `IO_METHODS`, else raise `ValueError`. Local."""
    if method not in IO_METHODS:
        raise ValueError(f"method {method!r} is not one of {', '.join(IO_METHODS)}")
    return method
