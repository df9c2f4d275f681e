"""Random operands of the operations of the matrix program."""

from __future__ import annotations

from collections.abc import Sequence

from mpiapps.launch.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.operation import Operation


def random_operands(  # noqa: PLR0913 - options of the program
    comm: MPI.Intracomm,
    operation: Operation,
    sizes: Sequence[int],
    seed: int,
    dtype: str,
    *,
    positive: bool,
) -> list[DistMatrix]:
    """Return the operands of an operation for ``--random SIZES``. Collective.

    If `positive`, the first one is positive definite.
    """
    shapes = operation.shapes(*sizes)
    layouts: Sequence[Layout | None] = [None] * len(shapes)
    if operation.layouts:
        layouts = operation.layouts(comm.size, *sizes)
    matrices = [
        DistMatrix.random(comm, shape, seed + i, dtype, layout)
        for i, (shape, layout) in enumerate(zip(shapes, layouts, strict=True))
    ]
    if positive:
        a, n = matrices[0], shapes[0][0]
        eye = DistMatrix.eye(comm, n, dtype, a.layout)
        matrices[0] = a + a.H.redistribute(a.layout) + (2 * n) * eye
    return matrices
