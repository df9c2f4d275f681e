"""Matrices in HDF5 files, with h5py (``pip install mpiapps[hdf5]``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.base.named import needed
from mpiapps.comm.agree import agree
from mpiapps.comm.cut import as_bytes
from mpiapps.comm.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import usual
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.redistribute import redistribute
from mpiapps.linalg.whole import write_whole

NAME = "matrix"  # of the data set that is written


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
        Of the data set; not needed if there is one matrix alone. Two-dimensional, or
        one-dimensional for a column; chunked and compressed ones too.
    layout : Layout, optional
        Default: rows over the ranks, as they are read.

    Raises
    ------
    InputError
        On all ranks, if there is no such file or matrix in it.

    Notes
    -----
    Each rank opens the file by itself and reads its own rows: this needs no HDF5 that
    was built for MPI. No messages unless another layout is asked for.
    """
    h5py = needed("h5py", "hdf5", "an HDF5 file")
    with agree(comm):
        with _opened(h5py, path) as file:
            data = _found(h5py, file, path, name)
            m, n = (*data.shape, 1)[:2]
            stored = Layout.blocks((m, n), (comm.size, 1))
            dtype = usual(data.dtype, path)
            rows, _ = stored.local_shape(comm.rank)
            first = min(comm.rank * stored.rows.block, m)
            local = np.empty((rows, n), data.dtype)
            if local.size:
                local[...] = data[first : first + rows].reshape(rows, n)
        local = local.astype(dtype, copy=False)
    made = DistMatrix(comm, stored, local)
    return made if layout is None else made.redistribute(layout)


def write_hdf5(path: str | Path, a: DistMatrix, name: str = NAME) -> None:
    """Write A as the one data set of an HDF5 file, whole or not at all. Collective.

    Parameters
    ----------
    path : path
        Seen by all ranks; replaced as by `mpiapps.linalg.whole.write_whole`.
    a : DistMatrix
    name : str
        Of the data set; groups in it are made.

    Raises
    ------
    ReadWriteError
        On all ranks, if it cannot be written; what was there is untouched.

    Notes
    -----
    The root makes the file with room for the elements in one run of bytes, and each
    rank writes its own rows there.
    """
    h5py = needed("h5py", "hdf5", "an HDF5 file")
    comm, shape = a.comm, a.shape
    stored = Layout.blocks(shape, (comm.size, 1))
    local = redistribute(comm, a.local, a.layout, stored)

    def begin(part: Path) -> int:
        with h5py.File(part, "w") as file:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_layout(h5py.h5d.CONTIGUOUS)
            plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            data = file.create_dataset(name, shape, a.dtype, dcpl=plist)
            # None if it is empty.
            offset: int | None = data.id.get_offset()
        return offset or 0

    write_whole(comm, Path(path), begin, as_bytes(local))


def _opened(h5py: Any, path: str | Path) -> Any:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"cannot read {path} as HDF5: {error}") from error


def _found(h5py: Any, file: Any, path: str | Path, name: str) -> Any:
    """Return the data set that is meant."""
    matrices: list[str] = []

    def look(at: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and len(item.shape or ()) in (1, 2):
            matrices.append(at)

    file.visititems(look)
    chosen = name.strip("/") or (matrices[0] if len(matrices) == 1 else "")
    if chosen not in matrices:
        what = f"no matrix {name!r}" if name else f"{len(matrices)} matrices"
        raise InputError(
            f"{path} has {what}; name one as FILE:NAME, of {', '.join(matrices)}"
        )
    return file[chosen]
