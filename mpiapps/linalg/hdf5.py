"""Matrices in HDF5 files, with h5py (``pip install mpiapps[hdf5]``)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import FileAccessError, InputError
from mpiapps.base.optional import import_optional
from mpiapps.comm.chunking import as_bytes
from mpiapps.comm.consistency import raise_together
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.linalg.atomic_write import write_atomic
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import to_native
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.redistribute import redistribute
from mpiapps.storage.replace_file import real_path

NAME = "matrix"  # default name of a written dataset
# Exceptions of h5py for damaged files and dangling links.
BROKEN = (OSError, RuntimeError, KeyError)


def read_hdf5(
    comm: Ranks, path: str | Path, name: str = "", layout: Layout | None = None
) -> DistMatrix:
    """Return a matrix of an HDF5 file. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm
        The file must be visible to all ranks.
    path : path
    name : str, optional
        Dataset, or a soft, external or hard link to it; optional if the file holds one
        matrix. Two-dimensional, or one-dimensional for a column; may be chunked and
        compressed. dtypes as for `read_npy`.
    layout : Layout, optional
        Default: contiguous rows, as read.

    Raises
    ------
    InputError
        On all ranks, if the file or the matrix is missing or damaged.

    Notes
    -----
    Each rank opens the file and reads its own rows; parallel HDF5 is not needed.
    No messages unless `layout` is given.
    """
    comm = communicator(comm)
    with raise_together(comm):
        with _opened(path) as file:
            data = _dataset(file, path, name)
            m, n = (*data.shape, 1)[:2]
            stored = Layout.blocks((m, n), (comm.size, 1))
            rows, _ = stored.local_shape(comm.rank)
            first = min(comm.rank * stored.rows.block, m)
            local = np.empty((rows, n), data.dtype)
            if local.size:
                local[...] = data[first : first + rows].reshape(rows, n)
        local = to_native(local, path)
    matrix = DistMatrix(comm, stored, local)
    return matrix if layout is None else matrix.redistribute(layout)


def write_hdf5(
    path: str | Path, a: DistMatrix, name: str = NAME, *, vector: bool = False
) -> None:
    """Write A as dataset `name` of an HDF5 file. Collective.

    The file is replaced by `atomic_write.write_atomic`, its other contents are kept,
    and missing groups are created. If `vector`, a matrix of one row or column becomes a
    dataset of shape (n,).

    Notes
    -----
    The root copies the file and allocates a contiguous dataset, into which each rank
    writes its own rows. A file with only this dataset is not copied.
    """
    h5py = import_optional("h5py", "hdf5", "an HDF5 file")
    comm, name = a.comm, name.strip("/")
    stored = Layout.blocks(a.shape, (comm.size, 1))
    local = redistribute(comm, a.local, a.layout, stored)
    shape = (a.size,) if vector else a.shape
    old = real_path(Path(path))

    def begin(part: Path) -> int:
        kept = bool(check_target(old, name))
        if kept:
            shutil.copyfile(old, part)
        with h5py.File(part, "r+" if kept else "w") as file:
            if name in file:
                del file[name]  # its space is reused
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_layout(h5py.h5d.CONTIGUOUS)
            plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            data = file.create_dataset(name, shape, a.dtype, dcpl=plist)
            # None for an empty dataset.
            offset: int | None = data.id.get_offset()
        return offset or 0

    write_atomic(comm, old, begin, as_bytes(local))


def dimensions(path: Path, name: str) -> int:
    """Return the number of dimensions of a matrix of an HDF5 file: 1 or 2. Local."""
    with _opened(path) as file:
        return len(_dataset(file, path, name).shape)


def check_target(path: Path, name: str) -> bool:
    """Return whether `path` holds other data than the dataset `name`. Local.

    Raises
    ------
    FileAccessError
        If writing the dataset would change other data: `name` is a link, a group or
        below a dataset; or if the file is damaged.
    """
    h5py = import_optional("h5py", "hdf5", "an HDF5 file")
    if not (path.exists() and h5py.is_hdf5(path)):
        return False
    try:
        with h5py.File(path, "r") as file:
            group, above, more = file, "", bool(file.userblock_size)
            for part in name.split("/"):
                if not isinstance(group, h5py.Group):
                    raise _conflict(path, above, "is a dataset")
                more = more or list(group) != [part] or bool(group.attrs)
                if part not in group:
                    return True
                above = f"{above}/{part}"
                if not isinstance(group.get(part, getlink=True), h5py.HardLink):
                    raise _conflict(path, above, "is a link")
                group = group[part]
            if isinstance(group, h5py.Group):
                raise _conflict(path, above, "is a group")
    except BROKEN as error:
        raise FileAccessError(
            f"cannot write into {path}, it is damaged or in use: {error}"
        ) from error
    return more


def _conflict(path: Path, name: str, kind: str) -> FileAccessError:
    return FileAccessError(
        f"cannot write {path}: {name} {kind}; choose another name in FILE:NAME"
    )


def same_dataset(path: Path, name: str, other: Path, its_name: str) -> bool:
    """Return whether two names denote the same existing dataset. Local."""
    h5py = import_optional("h5py", "hdf5", "an HDF5 file")
    if not (path.exists() and h5py.is_hdf5(path)):
        return False
    with _opened(path) as file, _opened(other) as its_file:
        dataset = _item(file, name.strip("/"))
        return dataset is not None and dataset == _dataset(its_file, other, its_name)


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """Open a file for reading; raise `InputError` on failure. Local."""
    h5py = import_optional("h5py", "hdf5", "an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except BROKEN as error:
        raise InputError(f"cannot read {path} as HDF5: {error}") from error


def _dataset(file: Any, path: str | Path, name: str) -> Any:
    """Return the dataset `name`, or the only one if `name` is empty."""
    if name.strip("/") and _is_matrix(data := _item(file, name)):
        return data
    names: list[bytes] = []
    file.id.links.visit(names.append)  # all links, not only the first to an object
    items = {link: _item(file, link) for link in sorted(map(bytes.decode, names))}
    matrices = {link: item for link, item in items.items() if _is_matrix(item)}
    distinct = set(matrices.values())
    if not name and len(distinct) == 1:
        return distinct.pop()
    contents = f"no matrix {name!r}" if name else f"{len(distinct)} matrices"
    raise InputError(
        f"{path} has {contents}; give one as FILE:NAME, out of {', '.join(matrices)}"
    )


def _item(file: Any, name: str) -> Any:
    """Return the object at `name`, following all kinds of links, or `None`."""
    with suppress(*BROKEN):
        return file.get(name)
    return None


def _is_matrix(item: Any) -> bool:
    """Return whether `item` is a numeric dataset of one or two dimensions."""
    with suppress(AttributeError, TypeError):  # not a dataset, or without a NumPy dtype
        return len(item.shape or ()) in {1, 2} and item.dtype.kind in "fciub"
    return False
