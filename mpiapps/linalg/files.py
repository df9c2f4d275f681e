"""Matrices in files, whatever the format: a row for each ending."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mpiapps.base.errors import InputError
from mpiapps.comm.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.hdf5 import NAME, read_hdf5, write_hdf5
from mpiapps.linalg.npy import read_npy, write_npy


@dataclass(frozen=True)
class Format:
    """How files of one ending are read and written; `name` is what follows a colon."""

    read: Callable[[MPI.Intracomm, Path, str], DistMatrix]
    write: Callable[[Path, DistMatrix, str], None]


HDF5 = Format(read_hdf5, lambda path, a, name: write_hdf5(path, a, name or NAME))
FORMATS = {
    ".npy": Format(
        lambda comm, path, _: read_npy(comm, path),
        lambda path, a, _: write_npy(path, a),
    ),
    ".h5": HDF5,
    ".hdf5": HDF5,
}


def read(comm: MPI.Intracomm, file: str) -> DistMatrix:
    """Return the matrix in a .npy file, or in an HDF5 ``FILE.h5:NAME``. Collective.

    Raises
    ------
    InputError, ReadWriteError
        On all ranks, if there is no matrix in it, or it cannot be read.
    """
    found, path, name = _parted(file)
    return found.read(comm, path, name)


def write(file: str, a: DistMatrix) -> None:
    """Write A to a .npy file, or to an HDF5 ``FILE.h5:NAME``. Collective.

    Raises
    ------
    InputError, ReadWriteError
        On all ranks, if its ending is not known, or it cannot be written.
    """
    found, path, name = _parted(file)
    found.write(path, a, name)


def path_of(file: str) -> Path:
    """Return the path in ``FILE.h5:NAME``. Local."""
    return _parted(file)[1]


def _parted(file: str) -> tuple[Format, Path, str]:
    whole, _, name = file.rpartition(":")
    for path, inside in ((file, ""), (whole, name)):
        found = FORMATS.get(Path(path).suffix)
        if found is not None:
            return found, Path(path), inside
    raise InputError(f"{file} ends with none of {', '.join(FORMATS)}; name it so")
