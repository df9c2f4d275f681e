"""Parallel reading and writing of byte ranges of one file, by POSIX or MPI-IO."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mpiapps.base.errors import InputError
from mpiapps.launch.mpi import MPI

CHUNK_BYTES = 2**26  # per read or write call
FLUSH_BYTES = 2**22  # until sync_file_range: small, so that the disk starts early
IO_METHODS = ("posix", "mpiio")
Bytes = npt.NDArray[np.uint8]
FilePath = str | Path  # visible to all ranks
Transfer = Callable[[int, Bytes], None]  # from or to an offset of the file
Opened = Iterator[Transfer]


def _chunks(data: Bytes, size: int = CHUNK_BYTES) -> Iterator[tuple[int, Bytes]]:
    for start in range(0, data.size, size):
        yield start, data[start : start + size]


@contextmanager
def _posix_reader(_comm: MPI.Intracomm, path: FilePath) -> Opened:
    file = os.open(path, os.O_RDONLY)

    def read(start: int, data: Bytes) -> None:
        for first, chunk in _chunks(data):
            done = 0
            while done < chunk.size:
                at = start + first + done
                count = os.preadv(file, [chunk[done:].data], at)
                if count == 0:
                    raise InputError(
                        f"{path} was truncated while it was read; read it again"
                    )
                done += count

    try:
        yield read
    finally:
        os.close(file)


@contextmanager
def _posix_writer(comm: MPI.Intracomm, path: FilePath) -> Opened:
    file = os.open(path, os.O_WRONLY)
    written = flushed = 0

    def write(start: int, data: Bytes) -> None:
        nonlocal written, flushed
        for first, chunk in _chunks(data, FLUSH_BYTES):
            done = 0
            while done < chunk.size:
                at = start + first + done
                done += os.pwritev(file, [chunk[done:].data], at)
            written += done
            if written - flushed >= FLUSH_BYTES:
                _flush_soon(file)
                flushed = written

    try:
        yield write
        # The root flushes a small part when it renames the file.
        if written and (comm.rank > 0 or written >= FLUSH_BYTES):
            os.fsync(file)
    finally:
        os.close(file)


def _flush_soon(file: int) -> None:
    """Start writeback of a file (``man 2 sync_file_range``), if available. Local.

    A hint only: the final fsync then has less to do, and reports errors.
    """
    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        to_end, write = ctypes.c_int64(0), 2
        call(file, to_end, to_end, write)


@contextmanager
def _mpi_reader(comm: MPI.Intracomm, path: FilePath) -> Opened:
    with _opened(comm, path, MPI.MODE_RDONLY) as file:

        def read(start: int, data: Bytes) -> None:
            for first, chunk in _chunks(data):
                file.Read_at(start + first, chunk)

        yield read


@contextmanager
def _mpi_writer(comm: MPI.Intracomm, path: FilePath) -> Opened:
    with _opened(comm, path, MPI.MODE_WRONLY) as file:

        def write(start: int, data: Bytes) -> None:
            for first, chunk in _chunks(data):
                file.Write_at(start + first, chunk)

        try:
            yield write
        finally:  # collective: a rank that failed calls it, too
            file.Sync()


@contextmanager
def _opened(comm: MPI.Intracomm, path: FilePath, mode: int) -> Iterator[MPI.File]:
    try:
        file = MPI.File.Open(comm, os.fspath(path), mode)
        try:
            yield file
        finally:
            file.Close()
    except MPI.Exception as error:
        raise OSError(error.Get_error_string()) from error


Opener = Callable[[MPI.Intracomm, FilePath], AbstractContextManager[Transfer]]
READ: Mapping[str, Opener] = {"posix": _posix_reader, "mpiio": _mpi_reader}
WRITE: Mapping[str, Opener] = {"posix": _posix_writer, "mpiio": _mpi_writer}


def check_seekable(path: FilePath) -> None:
    """Raise `OSError` for a pipe or device, which ranks cannot read in parts. Local."""
    mode = Path(path).stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(
            errno.EINVAL, "Not a regular file; copy the data to a regular file first"
        )


def check_method(method: str) -> str:
    """Return `method` if it is one of `IO_METHODS`, else raise `ValueError`. Local."""
    if method not in IO_METHODS:
        raise ValueError(f"method {method!r} is not one of {', '.join(IO_METHODS)}")
    return method
