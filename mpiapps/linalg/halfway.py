"""Factorisations that were stopped, in files: any number of ranks can go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.comm.cut import as_bytes
from mpiapps.comm.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.npy import read_npy, write_npy
from mpiapps.linalg.triangles import Halfway


def save(found: Halfway, path: Path) -> dict[str, Any]:
    """Write the matrix to `path`; return the rest, as JSON can hold it. Collective.

    Raises
    ------
    ReadWriteError
        On all ranks, if it cannot be written.
    """
    write_npy(path, found.matrix)
    return {
        "done": found.done,
        "block": found.block,
        "rows": None if found.rows is None else found.rows.tolist(),
        "sum": _sum(found.matrix),
    }


def load(comm: MPI.Intracomm, path: Path, state: Mapping[str, Any]) -> Halfway:
    """Return what `save` wrote and returned. Collective.

    Raises
    ------
    InputError
        On all ranks, if the file is missing, short, or not what was saved.
    """
    stored = read_npy(comm, path)
    matrix = stored.redistribute(Layout.cyclic(stored.shape, comm.size, state["block"]))
    if _sum(matrix) != state["sum"]:
        raise InputError(
            f"{path} is damaged: its sum is not the one that was saved; remove it and"
            " the checkpoint to begin anew"
        )
    rows = state["rows"]
    return Halfway(matrix, state["done"], None if rows is None else np.array(rows))


def _sum(a: DistMatrix) -> int:
    """Return the sum of A's bits as words, the same in any layout. Collective."""
    mine = int(as_bytes(a.local).view(np.uint32).sum(dtype=np.uint64))
    return int(a.comm.allreduce(mine)) % 2**64
