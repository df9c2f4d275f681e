"""`DistMatrix`: a matrix distributed over the ranks of a communicator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import checked_root, raise_together
from mpiapps.comm.random import Stream
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.launch.mpi import MPI
from mpiapps.linalg import operands
from mpiapps.linalg.array_methods import ArrayMethods
from mpiapps.linalg.dtypes import NAMES, check_dtype, refuse_masks
from mpiapps.linalg.gathering import Gathering
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.operators import elementwise
from mpiapps.linalg.redistribute import redistribute

# NumPy's functions for these exponents: `np.power` makes NaN of complex infinities.
POWERS: Mapping[complex, np.ufunc] = {-1: np.reciprocal, 0.5: np.sqrt, 2: np.square}
Operator = Callable[["DistMatrix", Any], "DistMatrix"]


def _both(ufunc: np.ufunc) -> tuple[Operator, Operator]:
    """Return the methods for ``A op other`` and ``other op A``."""
    return (
        lambda self, other: elementwise(ufunc, self, other),
        lambda self, other: elementwise(ufunc, other, self),
    )


class DistMatrix(ArrayMethods, Gathering):
    """A distributed matrix. Construction and use are collective.

    Parameters and attributes are documented in `MatrixBase`, operators in `Operators`,
    indices in `Indexing`, other methods in `ArrayMethods` and `Gathering`. The methods
    of this class construct and convert matrices.
    """

    @classmethod
    def zeros(
        cls,
        comm: Ranks,
        shape: tuple[int, int],
        dtype: npt.DTypeLike = float,
        layout: Layout | None = None,
    ) -> DistMatrix:
        """Return a matrix of zeros. Collective.

        `layout` must have the shape `shape`; default: `Layout.balanced`. All
        arguments must be the same on all ranks.
        """
        comm = communicator(comm)
        with raise_together(comm) as same:
            matrix = cls._zeros(comm, shape, dtype, layout)
            same("DistMatrix.zeros", matrix)
        return matrix

    @classmethod
    def _zeros(
        cls,
        comm: MPI.Intracomm,
        shape: tuple[int, int],
        dtype: npt.DTypeLike,
        layout: Layout | None,
    ) -> DistMatrix:
        """Return a matrix of zeros without comparing the arguments. Local."""
        m, n = operands.sides(shape)
        layout = layout or Layout.balanced((m, n), comm.size)
        layout.checked((m, n), comm.size)
        local = np.zeros(layout.local_shape(comm.rank), check_dtype(dtype))
        return cls(comm, layout, local, agreed=True)

    @classmethod
    def from_function(
        cls,
        comm: Ranks,
        shape: tuple[int, int],
        function: Callable[[Array, Array], Any],
        dtype: npt.DTypeLike = float,
        layout: Layout | None = None,
    ) -> DistMatrix:
        """Return the matrix of ``function(i, j)``. Collective.

        `function` takes a column of row indices and a row of column indices, int64, as
        from `numpy.ogrid`, and returns numbers that broadcast to their outer shape and
        cast to `dtype` by the rule "same_kind".
        """
        comm = communicator(comm)
        with raise_together(comm) as same:
            matrix = cls._zeros(comm, shape, dtype, layout)
            same("DistMatrix.from_function", matrix)
            i, j = matrix.row_indices[:, None], matrix.col_indices[None, :]
            values = operands.numbers(function(i, j), "the result of the function")
            np.copyto(matrix.local, values, casting="same_kind")
        return matrix

    @classmethod
    def full(
        cls,
        comm: Ranks,
        shape: tuple[int, int],
        value: complex,
        dtype: npt.DTypeLike = float,
        layout: Layout | None = None,
    ) -> DistMatrix:
        """Return a matrix filled with `value`. Collective; as `zeros`."""
        comm = communicator(comm)
        with raise_together(comm) as same:
            matrix = cls._zeros(comm, shape, dtype, layout)
            value = operands.number(value, "value")
            same("DistMatrix.full", matrix, value)
            np.copyto(matrix.local, value, casting="same_kind")
        return matrix

    @classmethod
    def ones(
        cls,
        comm: Ranks,
        shape: tuple[int, int],
        dtype: npt.DTypeLike = float,
        layout: Layout | None = None,
    ) -> DistMatrix:
        """Return a matrix of ones. Collective; as `zeros`."""
        return cls.full(comm, shape, 1, dtype, layout)

    @classmethod
    def eye(
        cls,
        comm: Ranks,
        n: int,
        dtype: npt.DTypeLike = float,
        layout: Layout | None = None,
    ) -> DistMatrix:
        """Return the identity matrix. Collective."""
        comm = communicator(comm)
        return cls.from_function(comm, (n, n), lambda i, j: i == j, dtype, layout)

    @classmethod
    def random(
        cls,
        comm: Ranks,
        shape: tuple[int, int],
        seed: int = 0,
        dtype: npt.DTypeLike = float,
        layout: Layout | None = None,
    ) -> DistMatrix:
        """Return random numbers uniform in [-1, 1), the same on any grid. Collective.

        Element (i, j) is number j of block i of the stream `seed`, imaginary parts are
        from the next stream (`mpiapps.comm.random.Stream`).
        """
        comm = communicator(comm)
        from mpiapps.linalg.random_fill import fill

        with raise_together(comm) as same:
            matrix = cls._zeros(comm, shape, dtype, layout)
            same("DistMatrix.random", matrix, Stream(seed).seed)
            refuse_masks("DistMatrix.random", matrix.dtype)
            fill(matrix.local, matrix.layout, comm.rank, seed)
        return matrix

    @classmethod
    def from_root(
        cls,
        comm: Ranks,
        array: npt.ArrayLike | None,
        layout: Layout | None = None,
        root: int = 0,
    ) -> DistMatrix:
        """Return the root's two-dimensional `array`, scattered. Collective.

        `array` is ignored on other ranks. Integers become float64. Cost: each element
        is sent once.

        Raises
        ------
        TypeError, ValueError
            On all ranks, if it is not a matrix of numbers, is masked, or the layout has
            another shape.
        """
        comm = communicator(comm)
        whole: Array = np.empty((0, 0))
        with raise_together(comm) as same:
            root = checked_root(comm, root)
            same("DistMatrix.from_root", layout, root)
            if comm.rank == root:
                whole = operands.numbers(array, "array")
                if whole.ndim != 2:
                    raise ValueError(
                        f"the array has {whole.ndim} dimensions; expected 2"
                    )
                if whole.dtype.kind in "iu":
                    whole = whole.astype(float)
                check_dtype(whole.dtype)
        shape, dtype = comm.bcast((whole.shape, whole.dtype.str), root=root)
        # All ranks have the same values from here on, and raise the same errors.
        layout = layout or Layout.balanced(shape, comm.size)
        layout.checked(shape, comm.size)
        if comm.rank != root:
            whole = np.empty((0, 0), dtype)
        local = redistribute(comm, whole, Layout.on_one(shape, root), layout)
        return cls(comm, layout, operands.own(local, whole), agreed=True)

    @classmethod
    def from_all(
        cls, comm: Ranks, array: npt.ArrayLike, layout: Layout | None = None
    ) -> DistMatrix:
        """Return the matrix `array`, which is replicated on all ranks. Collective.

        No element is sent: each rank copies its local block. The array must be
        bitwise the same on all ranks; checksums are compared.
        """
        comm = communicator(comm)
        with raise_together(comm) as same:
            whole = operands.numbers(array, "array")
            same("DistMatrix.from_all", whole, layout)
            if whole.ndim != 2:
                raise ValueError(f"the array has {whole.ndim} dimensions; expected 2")
            dtype = float if whole.dtype.kind in "iu" else whole.dtype
            matrix = cls._zeros(comm, whole.shape, dtype, layout)
            matrix.local[...] = matrix._local_operand(whole)
        return matrix

    def redistribute(self, layout: Layout) -> DistMatrix:
        """Return a copy in another layout. Collective."""
        with raise_together(self.comm) as same:
            layout.checked(self.shape, self.comm.size)
            same("redistribute", self, layout)
        return self._redistributed(layout)

    def astype(self, dtype: npt.DTypeLike) -> DistMatrix:
        """Return a copy of another dtype, as NumPy casts it. Collective."""
        with raise_together(self.comm) as same:
            to = check_dtype(dtype)
            same("astype", self, NAMES[to])
            return self._with_local(self.local.astype(to))

    __add__, __radd__ = _both(np.add)
    __sub__, __rsub__ = _both(np.subtract)
    __mul__, __rmul__ = _both(np.multiply)
    __truediv__, __rtruediv__ = _both(np.true_divide)
    _power, _power_of = _both(np.power)

    def __pow__(self, other: Any, modulo: Any = None) -> DistMatrix:
        """Return ``A ** other``. Collective; with a modulus not implemented."""
        if modulo is not None:
            return NotImplemented
        # A complex exponent, or a number of NumPy, can change the dtype.
        is_plain = type(other) in {int, float} and self.dtype.kind in "fc"
        if is_plain and other in POWERS:
            powers: DistMatrix = elementwise(POWERS[other], self)
            return powers
        return self._power(other)

    def __rpow__(self, other: Any, modulo: Any = None) -> DistMatrix:
        """Return ``other ** A``, as `__pow__`."""
        return NotImplemented if modulo is not None else self._power_of(other)
