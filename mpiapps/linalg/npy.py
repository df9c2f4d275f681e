"""NumPy's .npy files, read and written by all ranks at once, each its own bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from mpiapps.base.errors import InputError, naming
from mpiapps.comm.agree import agree
from mpiapps.comm.cut import as_bytes
from mpiapps.comm.mpi import MPI
from mpiapps.linalg.bytes_of import READ, checked_way
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import as_usual, usual
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.redistribute import redistribute
from mpiapps.linalg.whole import write_whole

# Version 3.0 is 2.0 in UTF-8, which differs in names of fields alone: not in numbers.
HEADERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
    (3, 0): npy_format.read_array_header_2_0,
}


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes
    ----------
    shape : tuple of int
    fortran : bool
        Whether columns lie one after the other, rather than rows.
    dtype : dtype
        As stored, with its byte order.
    offset : int
        Where the elements begin.
    """

    shape: tuple[int, int]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int


def read_npy(
    comm: MPI.Intracomm,
    path: str | Path,
    layout: Layout | None = None,
    *,
    way: str = "posix",
) -> DistMatrix:
    """Return the matrix in a .npy file. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm
        All its ranks must see the file.
    path : path
        Two-dimensional, or one-dimensional for a column; float32, float64, complex64
        or complex128 of either byte order; float16, which becomes float32; integers up
        to 2**53, which become float64. Rows or columns first.
    layout : Layout, optional
        Default: rows (of Fortran order: columns) over the ranks, as they are read.
    way : {"posix", "mpiio"}
        By pread, or by MPI-IO. docs/matrix.md has figures of both.

    Raises
    ------
    InputError
        On all ranks, if it is not such a file, shorter than its header requires, or
        holds integers that float64 rounds.
    ReadWriteError
        On all ranks, if it cannot be read.

    Notes
    -----
    Each rank reads neighbouring bytes, once; no messages unless another layout is
    asked for.
    """
    header = None
    with agree(comm):
        if comm.rank == 0:
            header = read_header(Path(path))
    header = comm.bcast(header)
    m, n = header.shape
    # Columns first are the rows of the transposed matrix.
    stored = Layout.blocks((n, m) if header.fortran else (m, n), (comm.size, 1))
    local = np.empty(stored.local_shape(comm.rank), header.dtype)
    start = header.offset + _before(stored, comm.rank) * header.dtype.itemsize
    with agree(comm), naming(path, "read"):
        READ[checked_way(way)](comm, path, start, as_bytes(local))
        local = as_usual(local, path)
    made = DistMatrix(comm, stored, local)
    made = made.T if header.fortran else made
    return made if layout is None else made.redistribute(layout)


def write_npy(
    path: str | Path, a: DistMatrix, *, fortran: bool = False, way: str = "posix"
) -> None:
    """Write A into a .npy file, whole or not at all. Collective.

    Parameters
    ----------
    path : path
        Seen by all ranks. Written beside it under another name, brought to the disk,
        then renamed: who reads it finds the old content or all of the new one.
    a : DistMatrix
    fortran : bool
        Whether to write columns one after the other.
    way : {"posix", "mpiio"}

    Raises
    ------
    ReadWriteError
        On all ranks, if it cannot be written; what was there is untouched.
    """
    comm, (m, n) = a.comm, a.shape
    shape = (n, m) if fortran else (m, n)
    stored = Layout.blocks(shape, (comm.size, 1))
    op = "T" if fortran else "N"
    local = redistribute(comm, a.local, a.layout, stored, op)
    header = Header((m, n), fortran, a.dtype, 0)
    write_whole(
        comm, Path(path), lambda part: _begin(part, header), as_bytes(local), way
    )


def read_header(path: Path) -> Header:
    """Return what the file `path` says of itself, checked against its size. Local."""
    try:
        with naming(path, "read"), path.open("rb") as stream:
            version = npy_format.read_magic(stream)
            if version not in HEADERS:
                raise ValueError(f"format version {version} is not known")
            shape, fortran, dtype = HEADERS[version](stream)
            offset = stream.tell()
            size = os.fstat(stream.fileno()).st_size
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is no .npy file: {error}") from error
    if len(shape) == 1:
        shape = (shape[0], 1)
    if len(shape) != 2:
        raise InputError(f"{path} has {len(shape)} dimensions; a matrix has 2")
    if min(shape) < 0:
        raise InputError(f"{path} has a header of shape {shape}; sizes are 0 or more")
    usual(dtype, path)
    needed = offset + shape[0] * shape[1] * dtype.itemsize
    if size < needed:
        raise InputError(
            f"{path} ends after {size} bytes; {shape[0]} x {shape[1]} elements of"
            f" {dtype} need {needed}: it was not written to its end"
        )
    return Header(shape, fortran, dtype, offset)


def _before(stored: Layout, rank: int) -> int:
    """Return how many elements lie before a rank's rows."""
    rows = stored.rows
    return min(rank * rows.block, rows.n) * stored.cols.n


def _begin(part: Path, header: Header) -> int:
    """Write the header; return where the elements begin. Root only."""
    with part.open("wb") as stream:
        npy_format.write_array_header_1_0(
            stream,
            {
                "descr": npy_format.dtype_to_descr(header.dtype),
                "fortran_order": header.fortran,
                "shape": tuple(map(int, header.shape)),  # NumPy's print as np.int64(3)
            },
        )
        return stream.tell()
