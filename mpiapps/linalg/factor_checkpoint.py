"""Checkpoints of factorisations, which any number of ranks can resume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.comm.chunking import as_bytes
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.factorization import PartialFactorization
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.npy import read_npy, write_npy


def save(partial: PartialFactorization, path: Path) -> dict[str, Any]:
    """Write the matrix to `path`; return the other state as JSON values. Collective.

    Raises
    ------
    FileAccessError
        On all ranks, if the file cannot be written.
    """
    matrix = partial.matrix.to_host()
    write_npy(path, matrix)
    return {
        "done": partial.done,
        "block": partial.block,
        "rows": None if partial.rows is None else partial.rows.tolist(),
        "pivoting": partial.pivoting,
        "sum": checksum(matrix),
    }


def load(
    comm: MPI.Intracomm, path: Path, state: Mapping[str, Any]
) -> PartialFactorization:
    """Return the factorisation from the file and state of `save`. Collective.

    Raises
    ------
    InputError
        On all ranks, if the file is missing, truncated or damaged.
    """
    stored = read_npy(comm, path)
    matrix = stored.redistribute(Layout.cyclic(stored.shape, comm.size, state["block"]))
    check_sum(matrix, path, state)
    rows = None if state["rows"] is None else np.array(state["rows"])
    # Earlier versions have saved no pivoting: theirs was partial.
    pivoting = state.get("pivoting", None if rows is None else "partial")
    return PartialFactorization(matrix, state["done"], rows, pivoting)


def check_sum(a: DistMatrix, path: Path, state: Mapping[str, Any]) -> None:
    """Raise `InputError` if A is not what was saved. Collective."""
    if checksum(a) != state["sum"]:
        raise InputError(
            f"{path} is damaged: its checksum differs from the checkpoint's; remove"
            " both files to start again"
        )


def checksum(a: DistMatrix) -> int:
    """Return a checksum of A that is the same in any layout. Collective."""
    local_sum = int(as_bytes(a.local).view(np.uint32).sum(dtype=np.uint64))
    return int(a.comm.allreduce(local_sum)) % 2**64
