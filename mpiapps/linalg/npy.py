"""Parallel reading and writing of NumPy's .npy files."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from mpiapps.base.errors import InputError, os_errors
from mpiapps.comm.consistency import raise_together
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.atomic_write import write_atomic
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import native_dtype, to_native
from mpiapps.linalg.file_blocks import FileBlock, file_block, read_layout
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.linalg.parallel_io import READ, check_method, check_seekable
from mpiapps.linalg.redistribute import redistribute

# Version 3.0 differs from 2.0 only in the encoding of field names.
HEADERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
    (3, 0): npy_format.read_array_header_2_0,
}
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Header:
    """Header of a .npy file.

    `shape` is that of the matrix, `ndim` is 1 if the file holds a vector, `fortran` is
    column-major order, `offset` the first byte of data, `dtype` as stored, with its
    byte order. `stamp` changes when the file is modified or replaced.
    """

    shape: tuple[int, int]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int = 0
    ndim: int = 2
    stamp: Stamp = field(default=(0, 0, 0), repr=False)


def read_npy(
    comm: Ranks,
    path: str | Path,
    layout: Layout | None = None,
    *,
    method: str = "posix",
) -> DistMatrix:
    """Return the matrix in a .npy file. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm
        The file must be visible to all ranks.
    path : path
        Two-dimensional, or one-dimensional for a column, in C or Fortran order, either
        byte order. float32, float64, complex64 or complex128; float16 becomes float32,
        integers up to 2**53 become float64.
    layout : Layout, optional
        Default: `Layout.balanced`.
    method : {"posix", "mpiio"}
        Use preadv, or MPI-IO (figures in docs/matrix.md).

    Raises
    ------
    InputError
        On all ranks, if it is not such a file, is truncated, changes while it is read,
        or holds integers that float64 would round.
    FileAccessError
        On all ranks, if it cannot be read, or is not a regular file.
    DisagreementError
        On all ranks, if they find different headers.

    Notes
    -----
    Each rank reads its own elements, without messages, if it has one block of complete
    rows of the file (of columns in Fortran order), or of parts of at least 16 KiB.
    Otherwise the ranks read contiguous parts, and send each element once.
    """
    comm = communicator(comm)
    return load(comm, path, layout, method)[0]


def load(
    comm: MPI.Intracomm,
    path: str | Path,
    layout: Layout | None = None,
    method: str = "posix",
) -> tuple[DistMatrix, int]:
    """Return a matrix, and its dimensions: 1 or 2. Collective; as `read_npy`."""
    with raise_together(comm) as same, os_errors(path, "read"):
        header = read_header(Path(path))
        layout = layout or Layout.balanced(header.shape, comm.size)
        layout.checked(header.shape, comm.size)
        same("read_npy", str(path), header, layout, check_method(method))
    dtype, fortran = header.dtype, header.fortran
    wanted = layout.T if fortran else layout
    stored = read_layout(wanted, comm.size, dtype.itemsize)
    block = FileBlock(stored, comm.rank, dtype, fortran)
    with raise_together(comm), os_errors(path, "read"):
        with READ[method](comm, path) as read:
            local = block.read(
                read,
                header.offset,
                native_dtype(dtype, path),
                lambda part: to_native(part, path),
            )
        if stamp(Path(path).stat()) != header.stamp:
            raise InputError(f"{path} changed while it was read; read it again")
    local = redistribute(comm, local, block.matrix_layout, layout)
    return DistMatrix(comm, layout, local, agreed=True), header.ndim


@of_matrix
def write_npy(
    path: str | Path,
    a: DistMatrix,
    *,
    fortran: bool = False,
    method: str = "posix",
    vector: bool = False,
) -> None:
    """Write A to a .npy file, by `atomic_write.write_atomic`. Collective.

    In Fortran order if `fortran`; `method` is "posix" or "mpiio", as for `read_npy`. If
    `vector`, a matrix of one row or column becomes an array of shape (n,).

    Notes
    -----
    As `read_npy`, for parts of at least 1 MiB. The root writes files of up to 1 MiB.
    """
    comm = a.comm
    with raise_together(comm) as same:
        same("write_npy", str(path), a, fortran, check_method(method), vector)
    shape = (math.prod(a.shape),) if vector else a.shape
    block, local = file_block(a, fortran=fortran)
    write_atomic(
        comm,
        Path(path),
        lambda part: write_array_header(part, shape, a.dtype, fortran=fortran),
        lambda write, offset: block.write(write, offset, local),
        method,
    )


def read_header(path: Path) -> Header:
    """Return the header of `path`, checked against the file size. Local."""
    shape, fortran, dtype, offset, file_stamp = read_array_header(path)
    ndim = len(shape)
    if ndim not in {1, 2}:
        raise InputError(f"{path} has {ndim} dimensions; expected 2, or 1 for a column")
    native_dtype(dtype, path)
    matrix_shape = shape[0], shape[1] if ndim == 2 else 1
    return Header(matrix_shape, fortran, dtype, offset, ndim, file_stamp)


def read_array_header(
    path: Path,
) -> tuple[tuple[int, ...], bool, np.dtype[Any], int, Stamp]:
    """Return shape, order, dtype, offset and stamp of a .npy file. Local.

    Of any number of dimensions. Raises `InputError` if it is not such a file, or is
    truncated; `OSError` if it cannot be read, or is not a regular file.
    """
    try:
        check_seekable(path)
        with path.open("rb") as stream:
            version = npy_format.read_magic(stream)
            if version not in HEADERS:
                raise ValueError(f"format version {version} is not known")
            shape, fortran, dtype = HEADERS[version](stream)
            offset = stream.tell()
            file_stamp = stamp(os.fstat(stream.fileno()))
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is not a .npy file: {error}") from error
    if min(shape, default=0) < 0:
        raise InputError(
            f"{path} has a header of shape {shape}; expected sizes of 0 or more"
        )
    needed = offset + math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and (size := file_stamp[1]) < needed:
        sides = " x ".join(map(str, shape))
        raise InputError(
            f"{path} ends after {size} bytes; {sides} elements of {dtype} need"
            f" {needed}; the file is truncated"
        )
    return shape, fortran, dtype, offset, file_stamp


def stamp(status: os.stat_result) -> Stamp:
    """Return what changes when a file is modified or replaced. Local."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def write_array_header(
    part: Path, shape: tuple[int, ...], dtype: np.dtype[Any], *, fortran: bool
) -> range:
    """Write the header; return the bytes of the elements. Root only."""
    with part.open("wb") as stream:
        npy_format.write_array_header_1_0(
            stream,
            {
                "descr": npy_format.dtype_to_descr(dtype),
                "fortran_order": fortran,
                "shape": tuple(map(int, shape)),  # np.int64 has another repr
            },
        )
        start = stream.tell()
    return range(start, start + math.prod(shape) * dtype.itemsize)
