"""Random operands of the operations of the matrix program."""

from __future__ import annotations

from collections.abc import Sequence

from mpiapps.launch.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.operation import Operation


def random_operands(
    comm: MPI.Intracomm,
    operation: Operation,
    sizes: Sequence[int],
    seed: int,
    dtype: str,
) -> list[DistMatrix]:
    """Return the operands of an operation for ``--random SIZES``. Collective."""
    shapes = operation.shapes(*sizes)
    layouts: Sequence[Layout | None] = [None] * len(shapes)
    if operation.layouts:
        layouts = operation.layouts(comm.size, *sizes)
    return [
        DistMatrix.random(comm, shape, seed + i, dtype, layout)
        for i, (shape, layout) in enumerate(zip(shapes, layouts, strict=True))
    ]


def positive_definite(a: DistMatrix) -> DistMatrix:
    """Return ``A + A.H + 2 n I`` for elements in [-1, 1), n x n. Collective."""
    eye = DistMatrix.eye(a.comm, len(a), a.dtype, a.layout)
    return a + a.H.redistribute(a.layout) + (2 * len(a)) * eye
