"""Matrices in files, whatever the format: a row for each ending."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mpiapps.base.errors import InputError, UsageError, naming
from mpiapps.base.replacing import open_beside, real_path
from mpiapps.comm.agree import agree
from mpiapps.comm.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.hdf5 import (
    NAME,
    check_place,
    read_hdf5,
    same_data_set,
    write_hdf5,
)
from mpiapps.linalg.npy import read_npy, write_npy


def _same_file(path: Path, _name: str, other: Path, _its_name: str) -> bool:
    return path.exists() and other.exists() and path.samefile(other)


@dataclass(frozen=True)
class Format:
    """How files of one ending are handled; `name` is what follows a colon.

    Attributes
    ----------
    read, write : callable
        Collective.
    same : callable
        Whether writing to the first path and name replaces what the second ones name.
    check : callable
        Raises if writing there would destroy something else. Local.
    """

    read: Callable[[MPI.Intracomm, Path, str], DistMatrix]
    write: Callable[[Path, DistMatrix, str], None]
    same: Callable[[Path, str, Path, str], bool] = _same_file
    check: Callable[[Path, str], object] = lambda _path, _name: None


NPY = Format(
    lambda comm, path, _: read_npy(comm, path),
    lambda path, a, _: write_npy(path, a),
)
HDF5 = Format(
    read_hdf5,
    lambda path, a, name: write_hdf5(path, a, name or NAME),
    lambda path, name, *other: same_data_set(path, name or NAME, *other),
    lambda path, name: check_place(path, name or NAME),
)
FORMATS = {".npy": NPY, ".h5": HDF5, ".hdf5": HDF5}


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


def check_output(comm: MPI.Intracomm, file: str, inputs: Sequence[str]) -> None:
    """Raise if `write` to `file` cannot succeed, or would replace an input. Collective.

    Done before any work. A temporary file is made beside it, and removed.

    Raises
    ------
    UsageError
        On all ranks, if its ending is not known, or it names one of `inputs`, also
        through links.
    ReadWriteError
        On all ranks, if it cannot be written.
    """
    with agree(comm):
        if comm.rank == 0:
            try:
                found, path, name = _parted(file)
            except InputError as error:
                raise UsageError(f"--output {error}") from error
            for each in inputs:
                other, its_path, its_name = _parted(each)
                same = found.same if found is other else _same_file
                if same(path, name, its_path, its_name):
                    raise UsageError(
                        f"--output {file} would replace the operand {each}; name"
                        " another file"
                    )
            with naming(path, "write"):
                handle, part = open_beside(real_path(path))
                os.close(handle)
                part.unlink()
            found.check(path, name)


def path_of(file: str) -> Path:
    """Return the path in ``FILE.h5:NAME``. Local."""
    return _parted(file)[1]


def _parted(file: str) -> tuple[Format, Path, str]:
    """Return format, path and name in a file of HDF5's; the name may be empty."""
    whole, _, name = file.rpartition(":")
    for path, inside in ((file, ""), (whole, name)):
        found = FORMATS.get(Path(path).suffix)
        if found is not None:
            return found, Path(path), inside.strip("/")
    raise InputError(f"{file} ends with none of {', '.join(FORMATS)}; name it so")
