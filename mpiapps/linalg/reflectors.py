"""Householder reflections in panels, and reductions that are not complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.kernels.blas import add_product
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.block_messages import bcast_in
from mpiapps.linalg.distmatrix import DistMatrix

PANEL = 32  # columns per update of the trailing matrix; each rank computes the panel

Floats = npt.NDArray[np.float64]


@dataclass
class Reflectors:
    """A product of Householder reflections ``1 - tau v v.H``, in panels.

    Attributes
    ----------
    starts : list of int
        For each panel the first row with a nonzero element.
    shapes : list of pairs of int
        The number of vectors of each panel, and their length.
    panels : list of arrays or None
        The vectors of a panel as rows, and below them the triangular factor T of the
        product ``1 - V T V.H`` (Schreiber, Van Loan, SISC 10 (1989)), on one rank each.
    """

    comm: MPI.Intracomm
    dtype: np.dtype[Any]
    starts: list[int] = field(default_factory=list)
    shapes: list[tuple[int, int]] = field(default_factory=list)
    panels: list[tuple[Array, Array] | None] = field(default_factory=list)

    def append(self, start: int, vectors: Array, factors: Sequence[Any]) -> None:
        """Add a panel, the last factor of the product; its owner stores it. Local.

        Of `vectors`, as many as there are `factors` are used.
        """
        vectors = vectors[: len(factors)]
        if not factors:
            return
        factor = triangular_factor(vectors, factors) if self._is_next_owner else None
        self.add(start, vectors if factor is None else vectors.copy(), factor)

    def add(self, start: int, vectors: Array, factor: Array | None) -> None:
        """Add a panel as in `panels`, the last factor; its owner stores it. Local."""
        factor = factor if self._is_next_owner else None
        self.panels.append(None if factor is None else (vectors, factor))
        self.starts.append(start)
        self.shapes.append(vectors.shape)

    @property
    def _is_next_owner(self) -> bool:
        return len(self.starts) % self.comm.size == self.comm.rank

    def apply(
        self, columns: Array, first: Callable[[int], int] = lambda _start: 0
    ) -> None:
        """Multiply this rank's `columns`, with all rows, by the product. Collective.

        ``first(start)`` is the first column with an element from row `start` on that is
        not zero.

        Cost: ``2 n^2`` flops per column (8 n^2 if complex); each rank receives n^2/2
        elements, in two messages per panel.
        """
        for number in reversed(range(len(self.starts))):
            (count, length), start = self.shapes[number], self.starts[number]
            vectors, factor = self.panels[number] or (
                np.empty((count, length), self.dtype),
                np.empty((count, count), self.dtype),
            )
            owner = number % self.comm.size
            bcast_in(self.comm, vectors, owner)
            bcast_in(self.comm, factor, owner)
            part = columns[start:, first(start) :]
            inner = factor @ (vectors.conj() @ part)
            add_product(part, vectors, inner, -1, op_a="T")


@dataclass(frozen=True)
class PartialReduction:
    """A reduction to tridiagonal or bidiagonal form between two panels.

    Attributes
    ----------
    matrix : DistMatrix, m x n, in `tridiagonal.row_layout`
        With the trailing matrix. The reduction goes on in this object, as in the other
        ones: copy or write them, do not keep a reference.
    done : int
        Number of reduced columns.
    diagonal, off_diagonal : ndarray of float64, shapes (n,) and (n - 1,)
        Their elements from `done` on are not computed yet. Those of rank 0 are valid.
    reflections : Reflectors, optional
        Of the reduction to tridiagonal form, if vectors are computed.
    exponent : int
        The matrix, diagonal and off-diagonal are ``2**-exponent`` times those of A.
    """

    matrix: DistMatrix
    done: int
    diagonal: Floats
    off_diagonal: Floats
    reflections: Reflectors | None = None
    exponent: int = 0


# Called on all ranks between two panels; may save the reduction, or raise.
ReductionCallback = Callable[[PartialReduction], None]


def with_exponent(
    on_panel: ReductionCallback | None, exponent: int
) -> ReductionCallback | None:
    """Return the callback for reductions of a scaled matrix. Local."""
    if on_panel is None:
        return None
    return lambda partial: on_panel(replace(partial, exponent=exponent))


def triangular_factor(vectors: Array, factors: Sequence[Any] | Array) -> Array:
    """Return T with ``(1 - t1 v1 v1.H) (1 - t2 v2 v2.H) ... = 1 - V T V.H``. Local."""
    products = vectors.conj() @ vectors.T
    triangle = np.zeros_like(products)
    for i, tau in enumerate(factors):
        triangle[:i, i] = -tau * (triangle[:i, :i] @ products[:i, i])
        triangle[i, i] = tau
    return triangle
