"""Checkpoints of reductions to tridiagonal and bidiagonal form, for any ranks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.factor_checkpoint import check_sum, checksum
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.npy import read_npy, write_npy
from mpiapps.linalg.reflectors import PANEL, PartialReduction, Reflectors
from mpiapps.linalg.tridiagonal import row_layout


def save(partial: PartialReduction, path: Path) -> dict[str, Any]:
    """Write the matrix to `path`; return the other state as JSON values. Collective.

    The columns of the file: the matrix, then, in its first rows, the vectors of the
    reflections, and the rows of their triangular factors.

    Raises
    ------
    FileAccessError
        On all ranks, if the file cannot be written.
    """
    matrix, count = partial.matrix, 0
    if partial.reflections is not None:
        vectors = _rows_of(partial.reflections, matrix.shape[0])
        count = vectors.shape[0]
        matrix = _beside(matrix, vectors)
    write_npy(path, matrix)
    return {
        "done": partial.done,
        "exponent": partial.exponent,
        "columns": partial.matrix.shape[1],
        "vectors": None if partial.reflections is None else count,
        "diagonal": partial.diagonal.tolist(),
        "off_diagonal": partial.off_diagonal.tolist(),
        "sum": checksum(matrix),
    }


def load(comm: MPI.Intracomm, path: Path, state: Mapping[str, Any]) -> PartialReduction:
    """Return the reduction from the file and state of `save`. Collective.

    Raises
    ------
    InputError
        On all ranks, if the file is missing, truncated or damaged, or of a version
        that did not save the exponent.
    """
    if "exponent" not in state:
        raise InputError(
            f"{path} is of an earlier version of mpiapps, which did not save how A was"
            " scaled; remove the checkpoint to start again"
        )
    stored = read_npy(comm, path)
    check_sum(stored, path, state)
    n, count = state["columns"], state["vectors"]
    matrix = stored[:, :n].redistribute(row_layout((len(stored), n), comm.size))
    reflections = None
    if count is not None:
        rows = stored[:count, n:].redistribute(_panel_layout(count, n, comm.size))
        reflections = _reflections(rows, n)
    ends = np.array(state["diagonal"]), np.array(state["off_diagonal"])
    done, exponent = state["done"], state["exponent"]
    return PartialReduction(matrix, done, *ends, reflections, exponent)


def _panel_layout(count: int, n: int, size: int) -> Layout:
    """Return the layout of `count` vectors: panels are on the ranks that own them."""
    width = n + PANEL
    return Layout(Axis(count, PANEL, size), Axis(width, width, 1))


def _rows_of(reflections: Reflectors, n: int) -> DistMatrix:
    """Return vectors and triangular factors as rows. Local."""
    comm, count = reflections.comm, sum(k for k, _ in reflections.shapes)
    layout = _panel_layout(count, n, comm.size)
    local = np.zeros(layout.local_shape(comm.rank), reflections.dtype)
    row = 0
    for start, panel in zip(reflections.starts, reflections.panels, strict=True):
        if panel is not None:
            vectors, factor = panel
            k = len(vectors)
            local[row : row + k, start:n] = vectors
            local[row : row + k, n : n + k] = factor
            row += k
    return DistMatrix(comm, layout, local, agreed=True)


def _reflections(rows: DistMatrix, n: int) -> Reflectors:
    """Return the reflections from the result of `_rows_of`. Local."""
    reflections = Reflectors(rows.comm, rows.dtype)
    row = 0
    for number, first in enumerate(range(0, rows.shape[0], PANEL)):
        k, start = min(PANEL, rows.shape[0] - first), first + 1
        panel = None
        if number % rows.comm.size == rows.comm.rank:
            part = rows.local[row : row + k]
            panel = part[:, start:n].copy(), part[:, n : n + k].copy()
            row += k
        reflections.starts.append(start)
        reflections.shapes.append((k, n - start))
        reflections.panels.append(panel)
    return reflections


def _beside(matrix: DistMatrix, vectors: DistMatrix) -> DistMatrix:
    """Return both in one matrix, with as many rows as the first. Collective."""
    (n, columns), (count, width) = matrix.shape, vectors.shape
    shape = n, columns + width
    layout = row_layout(shape, matrix.comm.size)
    both = DistMatrix.zeros(matrix.comm, shape, matrix.dtype, layout)
    both.local[:, :columns] = matrix.local
    both[:count, columns:] = vectors
    return both
