"""Matrices in HDF5 files, with h5py (``pip install mpiapps[hdf5]``)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError, ReadWriteError
from mpiapps.base.named import needed
from mpiapps.base.replacing import real_path
from mpiapps.comm.agree import agree
from mpiapps.comm.cut import as_bytes
from mpiapps.comm.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import as_usual
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.redistribute import redistribute
from mpiapps.linalg.whole import write_whole

NAME = "matrix"  # of the data set that is written
# What h5py raises where a file is damaged, or a link leads nowhere.
BROKEN = (OSError, RuntimeError, KeyError)


def read_hdf5(
    comm: MPI.Intracomm, path: str | Path, name: str = "", layout: Layout | None = None
) -> DistMatrix:
    """Return a matrix of an HDF5 file. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm
        All its ranks must see the file.
    path : path
    name : str, optional
        Of the data set, or of a soft, external or second hard link to it; not needed if
        there is one matrix alone. Two-dimensional, or one-dimensional for a column;
        chunked and compressed ones too. Numbers as `read_npy` takes them.
    layout : Layout, optional
        Default: rows over the ranks, as they are read.

    Raises
    ------
    InputError
        On all ranks, if there is no such file or matrix in it, or it is damaged.

    Notes
    -----
    Each rank opens the file by itself and reads its own rows: this needs no HDF5 that
    was built for MPI. No messages unless another layout is asked for.
    """
    with agree(comm):
        with _opened(path) as file:
            data = _found(file, path, name)
            m, n = (*data.shape, 1)[:2]
            stored = Layout.blocks((m, n), (comm.size, 1))
            rows, _ = stored.local_shape(comm.rank)
            first = min(comm.rank * stored.rows.block, m)
            local = np.empty((rows, n), data.dtype)
            if local.size:
                local[...] = data[first : first + rows].reshape(rows, n)
        local = as_usual(local, path)
    made = DistMatrix(comm, stored, local)
    return made if layout is None else made.redistribute(layout)


def write_hdf5(path: str | Path, a: DistMatrix, name: str = NAME) -> None:
    """Write A as a data set of an HDF5 file, whole or not at all. Collective.

    Parameters
    ----------
    path : path
        Seen by all ranks; replaced as by `mpiapps.linalg.whole.write_whole`. All else
        that it holds is kept.
    a : DistMatrix
    name : str
        Of the data set, which is replaced if it is there; groups in it are made.

    Raises
    ------
    ReadWriteError
        On all ranks, if it cannot be written; what was there is untouched.

    Notes
    -----
    The root makes a copy of the file with room for the elements in one run of bytes,
    and each rank writes its own rows there. A file that holds this one data set alone
    is not copied.
    """
    h5py = needed("h5py", "hdf5", "an HDF5 file")
    comm, name = a.comm, name.strip("/")
    stored = Layout.blocks(a.shape, (comm.size, 1))
    local = redistribute(comm, a.local, a.layout, stored)
    old = real_path(Path(path))

    def begin(part: Path) -> int:
        kept = bool(check_place(old, name))
        if kept:
            shutil.copyfile(old, part)
        with h5py.File(part, "r+" if kept else "w") as file:
            if name in file:
                del file[name]  # its room is used again for what follows
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_layout(h5py.h5d.CONTIGUOUS)
            plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            data = file.create_dataset(name, a.shape, a.dtype, dcpl=plist)
            # None if it is empty.
            offset: int | None = data.id.get_offset()
        return offset or 0

    write_whole(comm, old, begin, as_bytes(local))


def check_place(path: Path, name: str) -> bool:
    """Return whether `path` holds more than the data set `name`. Local.

    Raises
    ------
    ReadWriteError
        If writing the data set would change something else: `name` leads through a
        link, to a group, or into a data set; or the file is damaged.
    """
    h5py = needed("h5py", "hdf5", "an HDF5 file")
    if not (path.exists() and h5py.is_hdf5(path)):
        return False
    try:
        with h5py.File(path, "r") as file:
            group, above, more = file, "", bool(file.userblock_size)
            for part in name.split("/"):
                if not isinstance(group, h5py.Group):
                    raise _in_the_way(path, above, "is a data set")
                more = more or list(group) != [part] or bool(group.attrs)
                if part not in group:
                    return True
                above = f"{above}/{part}"
                if not isinstance(group.get(part, getlink=True), h5py.HardLink):
                    raise _in_the_way(path, above, "is a link to another place")
                group = group[part]
            if isinstance(group, h5py.Group):
                raise _in_the_way(path, above, "is a group")
    except BROKEN as error:
        raise ReadWriteError(
            f"cannot write into {path}, which is damaged or in use: {error}"
        ) from error
    return more


def _in_the_way(path: Path, name: str, what: str) -> ReadWriteError:
    return ReadWriteError(
        f"cannot write {path}: {name} {what}; name the data set FILE:NAME otherwise"
    )


def same_data_set(path: Path, name: str, other: Path, its_name: str) -> bool:
    """Return whether two names lead to one data set that is there. Local."""
    h5py = needed("h5py", "hdf5", "an HDF5 file")
    if not (path.exists() and h5py.is_hdf5(path)):
        return False
    with _opened(path) as file, _opened(other) as its_file:
        found = _item(file, name.strip("/"))
        return found is not None and found == _found(its_file, other, its_name)


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """Open a file to read; what is wrong with it is an `InputError`. Local."""
    h5py = needed("h5py", "hdf5", "an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except BROKEN as error:
        raise InputError(f"cannot read {path} as HDF5: {error}") from error


def _found(file: Any, path: str | Path, name: str) -> Any:
    """Return the data set that is meant."""
    if name.strip("/") and _is_matrix(data := _item(file, name)):
        return data
    names: list[bytes] = []
    file.id.links.visit(names.append)  # every link, not only the first to an object
    items = {each: _item(file, each) for each in sorted(map(bytes.decode, names))}
    matrices = {each: item for each, item in items.items() if _is_matrix(item)}
    different = set(matrices.values())
    if not name and len(different) == 1:
        return different.pop()
    what = f"no matrix {name!r}" if name else f"{len(different)} matrices"
    raise InputError(
        f"{path} has {what}; name one as FILE:NAME, of {', '.join(matrices)}"
    )


def _item(file: Any, name: str) -> Any:
    """Return what a name leads to, through links of every kind, or `None`."""
    with suppress(*BROKEN):
        return file.get(name)
    return None


def _is_matrix(item: Any) -> bool:
    """Return whether it is a data set of numbers with one or two dimensions."""
    with suppress(AttributeError, TypeError):  # no data set; no dtype of NumPy
        return len(item.shape or ()) in {1, 2} and item.dtype.kind in "fciub"
    return False
