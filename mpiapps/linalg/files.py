"""Reading and writing matrices: a table of file formats by suffix."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mpiapps.base.errors import InputError, UsageError, os_errors
from mpiapps.comm.consistency import computed_on_root, raise_together
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.launch.mpi import MPI
from mpiapps.linalg import hdf5, npy
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.hdf5 import NAME, check_target, same_dataset
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.storage.replace_file import create_temporary, real_path


def _same_file(path: Path, _name: str, other: Path, _its_name: str) -> bool:
    return path.exists() and other.exists() and path.samefile(other)


@dataclass(frozen=True)
class Format:
    """Functions of a file format; `name` is the part of the file name after a colon.

    Attributes
    ----------
    read : callable
        Return the matrix, and its number of dimensions: 1 or 2. Collective.
    write : callable
        Collective. The last argument is `vector`.
    same : callable
        Return whether the first path and name denote the same matrix as the second.
    check : callable
        Raise if writing would destroy other data. Local.
    """

    read: Callable[[MPI.Intracomm, Path, str], tuple[DistMatrix, int]]
    write: Callable[[Path, DistMatrix, str, bool], None]
    same: Callable[[Path, str, Path, str], bool] = _same_file
    check: Callable[[Path, str], object] = lambda _path, _name: None


NPY = Format(
    lambda comm, path, _: npy.load(comm, path),
    lambda path, a, _, vector: npy.write_npy(path, a, vector=vector),
)
HDF5 = Format(
    hdf5.load,
    lambda path, a, name, vector: hdf5.write_hdf5(path, a, name or NAME, vector=vector),
    lambda path, name, *other: same_dataset(path, name or NAME, *other),
    lambda path, name: check_target(path, name or NAME),
)
FORMATS = {".npy": NPY, ".h5": HDF5, ".hdf5": HDF5}


def read(comm: Ranks, file: str) -> DistMatrix:
    """Return the matrix in a .npy file, or in an HDF5 ``FILE.h5:NAME``. Collective.

    An array of shape (n,) is a column.

    Raises
    ------
    InputError, FileAccessError
        On all ranks, if the file holds no matrix, or cannot be read.
    """
    return _load(comm, file)[0]


def read_operands(
    comm: Ranks, files: Sequence[str], *, vectors: bool
) -> tuple[list[DistMatrix], bool]:
    """Return matrices, and whether one of them is a vector. Collective; as `read`.

    If `vectors`, an array of shape (n,) is a vector, as for ``A @ x`` and ``x @ A``: a
    row as the first operand, a column as the second. At most one operand is a vector.
    Otherwise such an array is a column, and not a vector.
    """
    matrices, dimensions = zip(*(_load(comm, file) for file in files), strict=True)
    if not vectors or 1 not in dimensions:
        return list(matrices), False
    if 2 not in dimensions:
        raise InputError(
            f"{' and '.join(files)} are vectors of shape (n,), and at least one operand"
            " must be a matrix; store it with two dimensions, (1, n) or (n, 1)"
        )
    first = matrices[0].T if dimensions[0] == 1 else matrices[0]
    return [first, *matrices[1:]], True


def _load(comm: Ranks, file: str) -> tuple[DistMatrix, int]:
    format_, path, name = _split_name(file)
    return format_.read(communicator(comm), path, name)


@of_matrix
def write(file: str, a: DistMatrix, *, vector: bool = False) -> None:
    """Write A to a .npy file, or to an HDF5 ``FILE.h5:NAME``. Collective.

    If `vector`, a matrix of one row or column becomes an array of shape (n,).

    Raises
    ------
    InputError, FileAccessError
        On all ranks, if the suffix is unknown, or the file cannot be written.
    """
    format_, path, name = _split_name(file)
    format_.write(path, a, name, vector)


def check_output(comm: MPI.Intracomm, file: str, inputs: Sequence[str]) -> None:
    """Raise if `write` to `file` would fail or replace an input. Collective.

    Creates and removes a temporary file in the same directory.

    Raises
    ------
    UsageError
        On all ranks, if the suffix is unknown, or `file` is one of `inputs`, also
        through links.
    FileAccessError
        On all ranks, if the file cannot be written.
    """
    with raise_together(comm):
        if comm.rank == 0:
            try:
                format_, path, name = _split_name(file)
            except InputError as error:
                raise UsageError(f"--output {error}") from error
            for input_file in inputs:
                other, its_path, its_name = _split_name(input_file)
                same = format_.same if format_ is other else _same_file
                if same(path, name, its_path, its_name):
                    raise UsageError(
                        f"--output {file} would replace the operand {input_file}; name"
                        " another file"
                    )
            with os_errors(path, "write"):
                handle, part = create_temporary(real_path(path))
                os.close(handle)
                part.unlink()
            format_.check(path, name)


def check_results(
    comm: MPI.Intracomm, results: Mapping[str, str], files: Sequence[str]
) -> None:
    """Raise if another result would replace the file of a dataset. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm
    results : mapping of str to str
        Option -> path of what the program writes.
    files : sequence of str
        Those of matrices, which are read or written; empty ones are skipped.

    Raises
    ------
    UsageError
        On all ranks.
    """
    with raise_together(comm):
        if comm.rank > 0:
            return
        paths = {str(real_path(path_of(file))): file for file in files if file}
        for option, result in results.items():
            file = paths.get(str(real_path(Path(result))), result)
            if file != result:
                raise UsageError(
                    f"{option} {result} would replace the file of {file}; name another"
                    " file"
                )


def path_of(file: str) -> Path:
    """Return the path in ``FILE.h5:NAME``. Local."""
    return _split_name(file)[1]


def stamps(comm: MPI.Intracomm, files: Sequence[str]) -> list[list[int]]:
    """Return size and modification time in ns of files. Collective.

    Raises
    ------
    FileAccessError
        On all ranks, if the root cannot see a file.
    """

    def look_up() -> list[list[int]]:
        found = []
        for path in map(path_of, files):
            with os_errors(path, "read"):
                status = path.stat()
            found.append([status.st_size, status.st_mtime_ns])
        return found

    return computed_on_root(comm, look_up)


@contextmanager
def unchanged(comm: MPI.Intracomm, files: Sequence[str]) -> Iterator[list[list[int]]]:
    """Yield the `stamps` of files that are read in the ``with`` block. Collective.

    Raises
    ------
    InputError
        On all ranks, if they have others after it.
    """
    before = stamps(comm, files)
    yield before
    if stamps(comm, files) != before:
        raise InputError(
            f"one of {', '.join(files)} changed while they were read; start again"
        )


def _split_name(file: str) -> tuple[Format, Path, str]:
    """Return format, path and dataset name, which may be empty."""
    whole, _, name = file.rpartition(":")
    for path, inside in ((file, ""), (whole, name)):
        format_ = FORMATS.get(Path(path).suffix)
        if format_ is not None:
            return format_, Path(path), inside.strip("/")
    raise InputError(f"{file}: unknown suffix; expected one of {', '.join(FORMATS)}")
