"""`DistMatrix`: a matrix over the ranks of a communicator, each with an ndarray."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from mpiapps.base.memory import available_memory
from mpiapps.comm.agree import agree, checked_root
from mpiapps.comm.cut import Array
from mpiapps.comm.move import bcast
from mpiapps.comm.mpi import MPI
from mpiapps.comm.random import Stream
from mpiapps.linalg import operands
from mpiapps.linalg.dtypes import NAMES, checked
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.operators import Operators, elementwise
from mpiapps.linalg.redistribute import redistribute

LEAST = 2**26  # bytes: a smaller matrix goes to all ranks without a look at the memory

Operator = Callable[["DistMatrix", Any], "DistMatrix"]
Solver = TypeVar("Solver", bound=Callable[..., Any])


def _both(ufunc: np.ufunc) -> tuple[Operator, Operator]:
    """Return the methods for ``A op other`` and ``other op A``."""
    return (
        lambda self, other: elementwise(ufunc, self, other),
        lambda self, other: elementwise(ufunc, other, self),
    )


class DistMatrix(Operators):
    """A matrix of which every rank keeps a part. Collective to make and to use.

    Its parameters and attributes are those of `MatrixBase`, its operators those of
    `Operators`. The methods here make one, and take it apart.
    """

    @classmethod
    def zeros(
        cls,
        comm: MPI.Intracomm,
        shape: tuple[int, int],
        dtype: npt.DTypeLike = float,
        layout: Layout | None = None,
    ) -> DistMatrix:
        """Return a matrix of zeros. Collective.

        `layout` is one of `shape`; the default is `Layout.cyclic`. All of them must be
        the same on all ranks.
        """
        with agree(comm) as same:
            made = cls._zeros(comm, shape, dtype, layout)
            same("DistMatrix.zeros", made)
        return made

    @classmethod
    def _zeros(
        cls,
        comm: MPI.Intracomm,
        shape: tuple[int, int],
        dtype: npt.DTypeLike,
        layout: Layout | None,
    ) -> DistMatrix:
        """Return a matrix of zeros without a comparison. Local."""
        m, n = operands.sides(shape)
        layout = layout or Layout.cyclic((m, n), comm.size)
        layout.checked((m, n), comm.size)
        local = np.zeros(layout.local_shape(comm.rank), checked(dtype))
        return cls(comm, layout, local, agreed=True)

    @classmethod
    def from_function(
        cls,
        comm: MPI.Intracomm,
        shape: tuple[int, int],
        function: Callable[[Array, Array], Any],
        dtype: npt.DTypeLike = float,
        layout: Layout | None = None,
    ) -> DistMatrix:
        """Return the matrix of ``function(i, j)``. Collective.

        `function` gets a column of row numbers and a row of column numbers, int64, and
        returns what broadcasts to their outer shape, as for `numpy.ogrid`: numbers of
        a kind that `dtype` can hold.
        """
        with agree(comm) as same:
            made = cls._zeros(comm, shape, dtype, layout)
            same("DistMatrix.from_function", made)
            i, j = made.row_indices[:, None], made.col_indices[None, :]
            found = operands.numbers(function(i, j), "what the function returned")
            np.copyto(made.local, found, casting="same_kind")
        return made

    @classmethod
    def eye(
        cls,
        comm: MPI.Intracomm,
        n: int,
        dtype: npt.DTypeLike = float,
        layout: Layout | None = None,
    ) -> DistMatrix:
        """Return the identity. Collective."""
        return cls.from_function(comm, (n, n), lambda i, j: i == j, dtype, layout)

    @classmethod
    def random(
        cls,
        comm: MPI.Intracomm,
        shape: tuple[int, int],
        seed: int = 0,
        dtype: npt.DTypeLike = float,
        layout: Layout | None = None,
    ) -> DistMatrix:
        """Return numbers uniform in [-1, 1), the same on any grid. Collective.

        Element (i, j) is number j of block i of the stream `seed`, imaginary parts of
        the next stream (`mpiapps.comm.random.Stream`).
        """
        from mpiapps.linalg.randoms import fill

        with agree(comm) as same:
            made = cls._zeros(comm, shape, dtype, layout)
            same("DistMatrix.random", made, Stream(seed).seed)
            fill(made.local, made.layout, comm.rank, seed)
        return made

    @classmethod
    def from_root(
        cls,
        comm: MPI.Intracomm,
        array: npt.ArrayLike | None,
        layout: Layout | None = None,
        root: int = 0,
    ) -> DistMatrix:
        """Return the root's two-dimensional `array`, dealt out. Collective.

        Other ranks' `array` is not looked at. Integers become float64. Cost: each
        element is sent once.

        Raises
        ------
        TypeError, ValueError
            On all ranks, if it is not a matrix of numbers, is masked, or the layout is
            of another shape.
        """
        whole: Array = np.empty((0, 0))
        with agree(comm) as same:
            root = checked_root(comm, root)
            same("DistMatrix.from_root", layout, root)
            if comm.rank == root:
                whole = operands.numbers(array, "array")
                if whole.ndim != 2:
                    raise ValueError(f"a matrix has 2 dimensions, not {whole.ndim}")
                if whole.dtype.kind in "iub":
                    whole = whole.astype(float)
                checked(whole.dtype)
        shape, dtype = comm.bcast((whole.shape, whole.dtype.str), root=root)
        # From here on all ranks know, and so raise, the same.
        layout = layout or Layout.cyclic(shape, comm.size)
        layout.checked(shape, comm.size)
        if comm.rank != root:
            whole = np.empty((0, 0), dtype)
        local = redistribute(comm, whole, Layout.on_one(shape, root), layout)
        return cls(comm, layout, operands.own(local, whole), agreed=True)

    @classmethod
    def from_all(
        cls, comm: MPI.Intracomm, array: npt.ArrayLike, layout: Layout | None = None
    ) -> DistMatrix:
        """Return the matrix `array`, which every rank has. Collective.

        No element is sent: each rank takes its part. The array must be the same on all
        ranks, to the last bit, which its checksum is compared for.
        """
        with agree(comm) as same:
            whole = operands.numbers(array, "array")
            same("DistMatrix.from_all", whole, layout)
            if whole.ndim != 2:
                raise ValueError(f"a matrix has 2 dimensions, not {whole.ndim}")
            dtype = float if whole.dtype.kind in "iub" else whole.dtype
            made = cls._zeros(comm, whole.shape, dtype, layout)
            made.local[...] = made._part(whole)
        return made

    def to_root(self, root: int = 0) -> Array | None:
        """Return the whole on the root, ``None`` elsewhere. Collective; a copy.

        Cost: each element is sent once.
        """
        with agree(self.comm) as same:
            root = checked_root(self.comm, root)
            same("to_root", self, root)
        return self._to_root(root)

    def _to_root(self, root: int) -> Array | None:
        one = Layout.on_one(self.shape, root)
        whole = redistribute(self.comm, self.local, self.layout, one)
        return operands.own(whole, self.local) if self.comm.rank == root else None

    def to_all(self) -> Array:
        """Return the whole on every rank. Collective; a copy.

        Raises
        ------
        MemoryError
            On all ranks, if the ranks of a host have not the memory for it.
        """
        with agree(self.comm) as same:
            same("to_all", self)
        self._check_room()
        return bcast(self.comm, self._to_root(0))

    def _check_room(self) -> None:
        """Raise on all ranks if the whole does not fit each rank. Collective."""
        if self.nbytes < LEAST:
            return
        hosts = self.comm.allgather((MPI.Get_processor_name(), available_memory()))
        names = [name for name, _ in hosts]
        for name, free in hosts:
            ranks = names.count(name)
            if self.nbytes * ranks > free:
                raise MemoryError(
                    f"{self.shape[0]} x {self.shape[1]} elements on each of {ranks}"
                    f" ranks of {name} need {self.nbytes * ranks} bytes, and {free} are"
                    " available there; use to_root, or a file"
                )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return the whole on every rank, for ``np.asarray``. Collective: `to_all`."""
        if copy is False:
            raise ValueError("a distributed matrix cannot become an array uncopied")
        return self.to_all().astype(dtype or self.dtype, copy=False)

    def redistribute(self, layout: Layout) -> DistMatrix:
        """Return the same matrix under another layout. Collective; a copy."""
        with agree(self.comm) as same:
            layout.checked(self.shape, self.comm.size)
            same("redistribute", self, layout)
        return self._moved(layout)

    def astype(self, dtype: npt.DTypeLike) -> DistMatrix:
        """Return a copy of another dtype, as NumPy casts it. Collective."""
        with agree(self.comm) as same:
            to = checked(dtype)
            same("astype", self, NAMES[to])
            return self._alike(self.local.astype(to))

    __add__, __radd__ = _both(np.add)
    __sub__, __rsub__ = _both(np.subtract)
    __mul__, __rmul__ = _both(np.multiply)
    __truediv__, __rtruediv__ = _both(np.true_divide)
    __pow__, __rpow__ = _both(np.power)


def takes_arrays(solver: Solver) -> Solver:
    """Let the second operand be an array, the same on all ranks.

    For a vector the result is one, on every rank; for a two-dimensional array it is a
    matrix. Collective.
    """

    @wraps(solver)
    def call(a: DistMatrix, b: Any, **options: Any) -> Any:
        if isinstance(b, DistMatrix):
            return solver(a, b, **options)
        if np.ndim(b) != 1:
            return solver(a, DistMatrix.from_all(a.comm, b), **options)
        column = DistMatrix.from_all(a.comm, np.asanyarray(b)[:, None])  # with its mask
        return solver(a, column, **options).to_all()[:, 0]

    return cast(Solver, call)
