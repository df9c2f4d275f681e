"""Matrices in HDF5 files, with h5py (``pip install mpiapps[hdf5]``)."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import FileAccessError, InputError
from mpiapps.base.optional import import_optional
from mpiapps.comm.consistency import raise_together
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.atomic_write import write_atomic
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import to_native
from mpiapps.linalg.file_blocks import file_block, read_layout
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.linalg.parallel_io import check_seekable
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
        Default: `Layout.balanced`.

    Raises
    ------
    InputError
        On all ranks, if the file or the matrix is missing or damaged.
    DisagreementError
        On all ranks, if they find matrices of different shapes or dtypes.

    Notes
    -----
    Each rank opens the file and reads its own elements; parallel HDF5 is not needed.
    Messages are as for `read_npy`.
    """
    return load(communicator(comm), path, name, layout)[0]


def load(
    comm: MPI.Intracomm,
    path: str | Path,
    name: str = "",
    layout: Layout | None = None,
) -> tuple[DistMatrix, int]:
    """Return a matrix, and its dimensions: 1 or 2. Collective; as `read_hdf5`."""
    with raise_together(comm) as same, opened(path) as file:
        data = dataset(file, path, name)
        shape, ndim, dtype = (*data.shape, 1)[:2], data.ndim, data.dtype
        layout = layout or Layout.balanced(shape, comm.size)
        layout.checked(shape, comm.size)
        same("read_hdf5", str(path), name, layout, dtype)
        stored = read_layout(layout, comm.size, dtype.itemsize)
        local = np.empty(stored.local_shape(comm.rank), dtype)
        coords = stored.coords(comm.rank)
        if coords is not None and local.size:
            spans = stored.rows.span(coords[0]), stored.cols.span(coords[1])
            part = tuple(slice(span.start, span.stop) for span in spans)
            target = local if ndim == 2 else local.reshape(-1)
            data.read_direct(target, part[:ndim])
        local = to_native(local, path)
    local = redistribute(comm, local, stored, layout)
    return DistMatrix(comm, layout, local, agreed=True), ndim


@of_matrix
def write_hdf5(
    path: str | Path, a: DistMatrix, name: str = NAME, *, vector: bool = False
) -> None:
    """Write A as dataset `name` of an HDF5 file. Collective.

    The file is replaced by `atomic_write.write_atomic`, its other contents are kept,
    and missing groups are created. If `vector`, a matrix of one row or column becomes a
    dataset of shape (n,).

    Notes
    -----
    The root copies the file and allocates a contiguous dataset, into which the ranks
    write as for `write_npy`. A file with only this dataset is not copied.
    """
    comm, name = a.comm, name.strip("/")
    with raise_together(comm) as same:
        same("write_hdf5", str(path), a, name, vector)
    block, local = file_block(a)
    shape = (a.size,) if vector else a.shape
    old = real_path(Path(path))

    def begin(part: Path) -> range:
        return allocate(part, old, name, shape, a.dtype)

    write_atomic(
        comm, old, begin, lambda write, offset: block.write(write, offset, local)
    )


def allocate(
    part: Path, old: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> range:
    """Allocate a contiguous dataset in a file; return its range of bytes. Local.

    `part` is empty, and first gets what else is in the file `old`.
    """
    h5py = import_optional("h5py", "hdf5", "an HDF5 file")
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
        data = file.create_dataset(name, shape, dtype, dcpl=plist)
        offset: int = data.id.get_offset() or 0  # None for an empty dataset
        return range(offset, offset + math.prod(shape) * dtype.itemsize)


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
    with opened(path) as file, opened(other) as its_file:
        found = _item(file, name.strip("/"))
        return found is not None and found == dataset(its_file, other, its_name)


@contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """Open a file for reading; raise `InputError` on failure. Local."""
    h5py = import_optional("h5py", "hdf5", "an HDF5 file")
    try:
        check_seekable(path)
        with h5py.File(path, "r") as file:
            yield file
    except BROKEN as error:
        raise InputError(f"cannot read {path} as HDF5: {error}") from error


def is_matrix(item: Any) -> bool:
    """Return whether `item` is a numeric dataset of one or two dimensions."""
    with suppress(AttributeError, TypeError):  # not a dataset, or without a NumPy dtype
        return len(item.shape or ()) in {1, 2} and item.dtype.kind in "fciub"
    return False


def dataset(
    file: Any,
    path: str | Path,
    name: str,
    fits: Callable[[Any], bool] = is_matrix,
    kinds: tuple[str, str] = ("matrix", "matrices"),
) -> Any:
    """Return the dataset `name`, or the only one that fits if `name` is empty. Local.

    Raises `InputError` if there is none; `kinds` are the words for one and for several.
    """
    if name.strip("/") and fits(data := _item(file, name)):
        return data
    names: list[bytes] = []
    file.id.links.visit(names.append)  # all links, not only the first to an object
    items = {link: _item(file, link) for link in sorted(map(bytes.decode, names))}
    fitting = {link: item for link, item in items.items() if fits(item)}
    distinct = set(fitting.values())
    if not name and len(distinct) == 1:
        return distinct.pop()
    contents = f"no {kinds[0]} {name!r}" if name else f"{len(distinct)} {kinds[1]}"
    remedy = f"give one as FILE:NAME, out of {', '.join(fitting)}"
    raise InputError(f"{path} has {contents}; {remedy if fitting else 'expected one'}")


def _item(file: Any, name: str) -> Any:
    """Return the object at `name`, following all kinds of links, or `None`."""
    with suppress(*BROKEN):
        return file.get(name)
    return None
