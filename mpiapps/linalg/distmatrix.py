"""`DistMatrix`: a matrix over the ranks of a communicator, each with an ndarray."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.comm.agree import agree
from mpiapps.comm.cut import Array
from mpiapps.comm.move import bcast
from mpiapps.comm.mpi import MPI
from mpiapps.linalg.dtypes import checked
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.redistribute import redistribute


class DistMatrix:
    """A matrix of which every rank keeps a part. Collective to make and to use.

    Parameters
    ----------
    comm : MPI.Intracomm
    layout : Layout
        Who keeps what; the same on all ranks.
    local : ndarray, shape ``layout.local_shape(comm.rank)``, C-contiguous
        This rank's part, of dtype float32, float64, complex64 or complex128. It may be
        read and changed at any time between two collective calls.

    Raises
    ------
    TypeError, ValueError
        On all ranks, if any rank's part has another shape or dtype.
    """

    __array_ufunc__ = None  # NumPy's functions shall not gather a matrix unasked

    def __init__(self, comm: MPI.Intracomm, layout: Layout, local: Array) -> None:
        """Check what all ranks gave. Cost: one reduction of 16 bytes."""
        self.comm, self.layout = comm, layout
        self.local = local
        with agree(comm):
            if max(layout.ranks) >= comm.size:
                raise ValueError(
                    f"the layout's grid {layout.grid} needs rank {max(layout.ranks)},"
                    f" and the communicator has {comm.size}"
                )
            expected = layout.local_shape(comm.rank)
            if local.shape != expected:
                raise ValueError(
                    f"rank {comm.rank} keeps {expected[0]} x {expected[1]} elements"
                    f" of this layout, and was given {local.shape}"
                )
            checked(local.dtype)
            if not local.flags.c_contiguous:
                self.local = np.ascontiguousarray(local)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the whole."""
        return self.layout.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of every element."""
        return self.local.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the whole."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def row_indices(self) -> npt.NDArray[np.int64]:
        """The rows of the whole that `local` holds, in its order."""
        found = self.layout.coords(self.comm.rank)
        return self.layout.rows.indices(found[0]) if found else np.empty(0, np.int64)

    @property
    def col_indices(self) -> npt.NDArray[np.int64]:
        """The columns of the whole that `local` holds, in its order."""
        found = self.layout.coords(self.comm.rank)
        return self.layout.cols.indices(found[1]) if found else np.empty(0, np.int64)

    def __repr__(self) -> str:
        """Tell shape, dtype, grid and blocks; not the elements."""
        (m, n), (p, q) = self.shape, self.layout.grid
        blocks = f"{self.layout.rows.block} x {self.layout.cols.block}"
        return f"DistMatrix({m} x {n}, {self.dtype}, grid {p} x {q}, blocks {blocks})"

    @classmethod
    def zeros(
        cls,
        comm: MPI.Intracomm,
        shape: tuple[int, int],
        dtype: npt.DTypeLike = float,
        layout: Layout | None = None,
    ) -> DistMatrix:
        """Return a matrix of zeros. Collective."""
        layout = layout or Layout.cyclic(shape, comm.size)
        local = np.zeros(layout.local_shape(comm.rank), checked(dtype))
        return cls(comm, layout, local)

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
        returns what broadcasts to their outer shape, as for `numpy.ogrid`.
        """
        made = cls.zeros(comm, shape, dtype, layout)
        with agree(comm):
            i, j = made.row_indices[:, None], made.col_indices[None, :]
            made.local[...] = function(i, j)
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

        made = cls.zeros(comm, shape, dtype, layout)
        with agree(comm):
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

        Other ranks' `array` is not looked at. Cost: each element is sent once.
        """
        whole = np.empty((0, 0))
        with agree(comm):
            if comm.rank == root:
                whole = np.asarray(array)
                if whole.ndim != 2:
                    raise ValueError(f"a matrix has 2 dimensions, not {whole.ndim}")
                if whole.dtype.kind in "iub":
                    whole = whole.astype(float)
                checked(whole.dtype)
        shape, dtype = comm.bcast((whole.shape, whole.dtype.str), root=root)
        if comm.rank != root:
            whole = np.empty((0, 0), dtype)
        layout = layout or Layout.cyclic(shape, comm.size)
        local = redistribute(comm, whole, Layout.on_one(shape, root), layout)
        return cls(comm, layout, np.array(local, order="C", ndmin=2))

    def to_root(self, root: int = 0) -> Array | None:
        """Return the whole on the root, ``None`` elsewhere. Collective.

        Cost: each element is sent once.
        """
        whole = redistribute(
            self.comm, self.local, self.layout, Layout.on_one(self.shape, root)
        )
        return whole if self.comm.rank == root else None

    def to_all(self) -> Array:
        """Return the whole on every rank. Collective.

        Raises
        ------
        MemoryError
            On all ranks, if the ranks of this host have not the memory for it.
        """
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        most = self.comm.allreduce(free, op=MPI.MIN)
        if self.nbytes * self.comm.size > most:
            raise MemoryError(
                f"{self.shape[0]} x {self.shape[1]} elements on each of"
                f" {self.comm.size} ranks need {self.nbytes * self.comm.size} bytes,"
                f" and {most} are free; use to_root, or a file"
            )
        return bcast(self.comm, self.to_root())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return the whole on every rank, for ``np.asarray``. Collective: `to_all`."""
        if copy is False:
            raise ValueError("a distributed matrix cannot become an array uncopied")
        return self.to_all().astype(dtype or self.dtype, copy=False)

    def redistribute(self, layout: Layout) -> DistMatrix:
        """Return the same matrix under another layout. Collective; a copy."""
        self._same_shape(layout.shape)
        local = redistribute(self.comm, self.local, self.layout, layout)
        return DistMatrix(self.comm, layout, np.array(local, order="C"))

    def copy(self) -> DistMatrix:
        """Return a copy. Collective."""
        return DistMatrix(self.comm, self.layout, self.local.copy())

    def astype(self, dtype: npt.DTypeLike) -> DistMatrix:
        """Return a copy of another dtype. Collective."""
        return DistMatrix(self.comm, self.layout, self.local.astype(checked(dtype)))

    @property
    def T(self) -> DistMatrix:  # noqa: N802 - as in NumPy
        """The transposed matrix, each element on the same rank: no messages."""
        return DistMatrix(self.comm, self.layout.T, np.ascontiguousarray(self.local.T))

    @property
    def H(self) -> DistMatrix:  # noqa: N802 - as in SciPy
        """The conjugate transposed matrix; no messages."""
        return DistMatrix(
            self.comm, self.layout.T, np.ascontiguousarray(self.local.conj().T)
        )

    def map(self, function: Callable[..., Array], *others: DistMatrix) -> DistMatrix:
        """Return ``function(A, B, ...)`` element by element. Collective.

        `function` takes and returns arrays of one shape, as NumPy's do. Matrices of
        another layout are brought to this one's.
        """
        parts = [self.local, *(self._alike(other) for other in others)]
        with agree(self.comm):
            made = np.asarray(function(*parts))
            if made.shape != self.local.shape:
                raise ValueError(
                    f"the function made {made.shape} of {self.local.shape}; it must"
                    " keep the shape"
                )
        return DistMatrix(self.comm, self.layout, made)

    def _alike(self, other: DistMatrix) -> Array:
        self._same_shape(other.shape)
        return redistribute(self.comm, other.local, other.layout, self.layout)

    def _same_shape(self, shape: tuple[int, int]) -> None:
        if shape != self.shape:
            raise ValueError(
                f"shapes {self.shape} and {shape} differ; they must be the same"
            )

    def __add__(self, other: DistMatrix) -> DistMatrix:
        """Return ``A + B``."""
        return self.map(np.add, other)

    def __sub__(self, other: DistMatrix) -> DistMatrix:
        """Return ``A - B``."""
        return self.map(np.subtract, other)

    def __mul__(self, factor: complex) -> DistMatrix:
        """Return ``A * number``."""
        kept = self.dtype.type(factor) if np.isreal(factor) else factor
        return self.map(lambda local: local * kept)

    __rmul__ = __mul__

    def __neg__(self) -> DistMatrix:
        """Return ``-A``."""
        return self.map(np.negative)

    def __matmul__(self, other: DistMatrix) -> DistMatrix:
        """Return ``A @ B``; see `mpiapps.linalg.multiply`."""
        from mpiapps.linalg.multiply import multiply

        return multiply(self, other)
