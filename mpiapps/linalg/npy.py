"""Parallel reading and writing of NumPy's .npy files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from mpiapps.base.errors import InputError, os_errors
from mpiapps.comm.chunking import as_bytes
from mpiapps.comm.consistency import raise_together
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.linalg.atomic_write import write_atomic
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import native_dtype, to_native
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.parallel_io import READ, check_method
from mpiapps.linalg.redistribute import redistribute

# Version 3.0 differs from 2.0 only in the encoding of field names.
HEADERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
    (3, 0): npy_format.read_array_header_2_0,
}


@dataclass(frozen=True)
class Header:
    """Header of a .npy file.

    `shape` is that of the matrix, `ndim` is 1 if the file holds a vector, `fortran` is
    column-major order, `offset` the first byte of data, `dtype` as stored, with its
    byte order.
    """

    shape: tuple[int, int]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int
    ndim: int = 2


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
        Default: contiguous rows (Fortran order: columns), as read.
    method : {"posix", "mpiio"}
        Use preadv, or MPI-IO (figures in docs/matrix.md).

    Raises
    ------
    InputError
        On all ranks, if it is not such a file, is truncated, or holds integers that
        float64 would round.
    FileAccessError
        On all ranks, if it cannot be read.

    Notes
    -----
    Each rank reads one contiguous range of bytes. No messages unless `layout` is
    given.
    """
    comm = communicator(comm)
    header = None
    with raise_together(comm):
        if comm.rank == 0:
            header = read_header(Path(path))
    header = comm.bcast(header)
    m, n = header.shape
    # Fortran order is C order of the transposed matrix.
    stored = Layout.blocks((n, m) if header.fortran else (m, n), (comm.size, 1))
    local = np.empty(stored.local_shape(comm.rank), header.dtype)
    start = header.offset + _before(stored, comm.rank) * header.dtype.itemsize
    with raise_together(comm), os_errors(path, "read"):
        READ[check_method(method)](comm, path, start, as_bytes(local))
        local = to_native(local, path)
    matrix = DistMatrix(comm, stored, local)
    matrix = matrix.T if header.fortran else matrix
    return matrix if layout is None else matrix.redistribute(layout)


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
    """
    comm, (m, n) = a.comm, a.shape
    shape = (n, m) if fortran else (m, n)
    stored = Layout.blocks(shape, (comm.size, 1))
    op = "T" if fortran else "N"
    local = redistribute(comm, a.local, a.layout, stored, op)
    header = Header((m, n), fortran, a.dtype, 0, 1 if vector else 2)
    write_atomic(
        comm, Path(path), lambda part: _begin(part, header), as_bytes(local), method
    )


def read_header(path: Path) -> Header:
    """Return the header of `path`, checked against the file size. Local."""
    try:
        with os_errors(path, "read"), path.open("rb") as stream:
            version = npy_format.read_magic(stream)
            if version not in HEADERS:
                raise ValueError(f"format version {version} is not known")
            shape, fortran, dtype = HEADERS[version](stream)
            offset = stream.tell()
            size = os.fstat(stream.fileno()).st_size
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is not a .npy file: {error}") from error
    ndim = len(shape)
    if ndim == 1:
        shape = (shape[0], 1)
    if len(shape) != 2:
        raise InputError(
            f"{path} has {len(shape)} dimensions; expected 2, or 1 for a column"
        )
    if min(shape) < 0:
        raise InputError(
            f"{path} has a header of shape {shape}; expected sizes of 0 or more"
        )
    native_dtype(dtype, path)
    needed = offset + shape[0] * shape[1] * dtype.itemsize
    if size < needed:
        raise InputError(
            f"{path} ends after {size} bytes; {shape[0]} x {shape[1]} elements of"
            f" {dtype} need {needed}; the file is truncated"
        )
    return Header(shape, fortran, dtype, offset, ndim)


def _before(stored: Layout, rank: int) -> int:
    """Return the number of elements before a rank's rows."""
    rows = stored.rows
    return min(rank * rows.block, rows.n) * stored.cols.n


def _begin(part: Path, header: Header) -> int:
    """Write the header; return the offset of the elements. Root only."""
    shape = header.shape if header.ndim == 2 else (header.shape[0] * header.shape[1],)
    with part.open("wb") as stream:
        npy_format.write_array_header_1_0(
            stream,
            {
                "descr": npy_format.dtype_to_descr(header.dtype),
                "fortran_order": header.fortran,
                "shape": tuple(map(int, shape)),  # np.int64 has another repr
            },
        )
        return stream.tell()
