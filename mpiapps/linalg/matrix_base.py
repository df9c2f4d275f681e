"""What every distributed matrix has: its layout, and the part that this rank keeps."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mpiapps.comm.agree import agree
from mpiapps.comm.cut import Array
from mpiapps.comm.mpi import MPI
from mpiapps.linalg import operands
from mpiapps.linalg.dtypes import NAMES
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.redistribute import redistribute


class MatrixBase:
    """A matrix of which every rank keeps a part. Collective to make and to use.

    Parameters
    ----------
    comm : MPI.Intracomm
    layout : Layout
        Who keeps what; the same on all ranks.
    local : ndarray, shape ``layout.local_shape(comm.rank)``
        This rank's part, of dtype float32, float64, complex64 or complex128, the same
        on all ranks. It is copied unless it is C-contiguous.
    agreed : bool
        Whether layout and dtype are known to be the same on all ranks: then nothing is
        compared, and making the matrix is local.

    Raises
    ------
    TypeError, ValueError
        On all ranks, if any rank's part has another shape or dtype, or the ranks
        disagree.
    """

    def __init__(
        self,
        comm: MPI.Intracomm,
        layout: Layout,
        local: Array,
        *,
        agreed: bool = False,
    ) -> None:
        """Check what all ranks gave. Cost: one reduction of 24 bytes."""
        self.comm, self.layout = comm, layout
        if agreed:
            self._local = operands.block(local, layout.local_shape(comm.rank))
            return
        with agree(comm) as same:
            layout.checked(layout.shape, comm.size)
            self._local = operands.block(local, layout.local_shape(comm.rank))
            same("DistMatrix", layout, NAMES[self.dtype])

    @property
    def local(self) -> Array:
        """The part of this rank, C-contiguous.

        It may be read, changed and assigned at any time between two collective calls.
        What is assigned must have its shape and dtype, and is copied unless it is
        C-contiguous.
        """
        return self._local

    @local.setter
    def local(self, array: Array) -> None:
        if array is self._local:  # after `a.local *= 2`
            return
        made = operands.block(array, self._local.shape)
        if made.dtype != self.dtype:
            raise TypeError(
                f"the matrix is of {self.dtype}, and was given a part of {made.dtype};"
                " convert the part with astype, or the matrix with A.astype"
            )
        self._local = made

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the whole."""
        return self.layout.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of every element."""
        return self.local.dtype

    @property
    def ndim(self) -> int:
        """Return 2. Local."""
        return 2

    @property
    def size(self) -> int:
        """Number of elements of the whole."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole."""
        return self.size * self.dtype.itemsize

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
        """Return dtype, shape, grid and blocks; not the elements. Local."""
        return f"DistMatrix({NAMES[self.dtype]}, {self.layout!r})"

    def copy(self) -> Self:
        """Return a copy. Local."""
        return self._alike(self.local.copy())

    @property
    def T(self) -> Self:  # noqa: N802 - as in NumPy
        """The transposed matrix, each element on the same rank. Local; a copy."""
        return self._alike(np.array(self.local.T, order="C"), self.layout.T)

    @property
    def H(self) -> Self:  # noqa: N802 - as in SciPy
        """The conjugate transposed matrix. Local; a copy."""
        made = self.T
        if self.dtype.kind == "c":
            np.conjugate(made.local, out=made.local)
        return made

    def _moved(self, layout: Layout) -> Self:
        """Return a copy under a layout that all ranks agree on. Collective."""
        local = redistribute(self.comm, self.local, self.layout, layout)
        return self._alike(operands.own(local, self.local), layout)

    def _alike(self, local: Array, layout: Layout | None = None) -> Self:
        """Return a matrix of this one's kind. Local."""
        return type(self)(self.comm, layout or self.layout, local, agreed=True)
