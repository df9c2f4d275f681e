"""Layout, local block and basic properties of a distributed matrix."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.device import arrays
from mpiapps.kernels.transpose import transposed
from mpiapps.launch.mpi import MPI
from mpiapps.linalg import operands
from mpiapps.linalg.dtypes import NAMES
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.redistribute import redistribute


class MatrixBase:
    """A distributed matrix. Construction and use are collective.

    Parameters
    ----------
    comm : MPI.Intracomm
    layout : Layout
        Distribution of the elements; the same on all ranks.
    local : ndarray, shape ``layout.local_shape(comm.rank)``
        The local block; dtype float32, float64, complex64 or complex128, the same on
        all ranks. Copied unless C-contiguous. An array of CuPy, on all ranks, makes a
        matrix on devices, as `to_device` does.
    agreed : bool
        The caller guarantees the same layout and dtype on all ranks: skip the
        comparison. Construction is then local.

    Raises
    ------
    TypeError, ValueError
        On all ranks, if a local block has another shape or dtype, or the arguments
        differ between ranks.
    """

    def __init__(
        self,
        comm: MPI.Intracomm,
        layout: Layout,
        local: Array,
        *,
        agreed: bool = False,
    ) -> None:
        """Check and compare the arguments. Cost: one reduction of 24 bytes."""
        self.comm, self.layout = comm, layout
        if agreed:
            self._local = operands.block(local, layout.local_shape(comm.rank))
            return
        with raise_together(comm) as same:
            layout.checked(layout.shape, comm.size)
            self._local = operands.block(local, layout.local_shape(comm.rank))
            same("DistMatrix", layout, NAMES[self.dtype])

    @property
    def local(self) -> Array:
        """The local block, C-contiguous.

        It may be read, modified and assigned between collective calls. An assigned
        array must have the same shape and dtype; it is copied unless C-contiguous.
        """
        return self._local

    @local.setter
    def local(self, array: Array) -> None:
        if array is self._local:  # after `a.local *= 2`
            return
        block = operands.block(array, self._local.shape)
        if block.dtype != self.dtype:
            raise TypeError(
                f"the local block has dtype {block.dtype}, but the matrix {self.dtype};"
                " convert the block with astype, or the matrix with A.astype"
            )
        self._local = block

    @property
    def shape(self) -> tuple[int, int]:
        """Global number of rows and columns."""
        return self.layout.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the elements."""
        return self.local.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions: 2."""
        return 2

    @property
    def size(self) -> int:
        """Global number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Global number of bytes."""
        return self.size * self.dtype.itemsize

    @property
    def row_indices(self) -> npt.NDArray[np.int64]:
        """Global row indices of `local`, in its order."""
        coords = self.layout.coords(self.comm.rank)
        return self.layout.rows.indices(coords[0]) if coords else np.empty(0, np.int64)

    @property
    def col_indices(self) -> npt.NDArray[np.int64]:
        """Global column indices of `local`, in its order."""
        coords = self.layout.coords(self.comm.rank)
        return self.layout.cols.indices(coords[1]) if coords else np.empty(0, np.int64)

    def check_comm(self, *others: object) -> None:
        """Raise `ValueError` if another matrix has another communicator. Local."""
        for other in others:
            if isinstance(other, MatrixBase) and other.comm != self.comm:
                raise ValueError(
                    "the matrices are on different communicators; expected one"
                )

    def __repr__(self) -> str:
        """Return dtype, shape, grid and block sizes, without the elements. Local."""
        text = f"DistMatrix({NAMES[self.dtype]}, {self.layout!r}"
        return text + (")" if isinstance(self._local, np.ndarray) else ", on devices)")

    @property
    def is_on_device(self) -> bool:
        """Whether the local block is on a device."""
        return not isinstance(self._local, np.ndarray)

    def to_device(self) -> Self:
        """Return the matrix with its blocks on the current devices. Local.

        Products, `gram`, `cholesky`, `lu`, `solve_triangular`, `solve`, element-wise
        operations, copies and redistributions then compute there; all other functions
        need `to_host`. Itself if the blocks are there. Cost: one upload of the block.

        Raises
        ------
        LaunchError
            If CuPy is not installed.
        """
        if self.is_on_device:
            return self
        return self._with_local(arrays.to_device(self.local))

    def to_host(self) -> Self:
        """Return the matrix with its blocks in host memory. Local.

        Itself if the blocks are there. Cost: one download of the block.
        """
        if not self.is_on_device:
            return self
        return self._with_local(arrays.to_host(self.local))

    def copy(self) -> Self:
        """Return a copy. Local."""
        return self._with_local(self.local.copy())

    @property
    def T(self) -> Self:  # noqa: N802 - as in NumPy
        """The transposed matrix, each element on the same rank. Local; a copy."""
        return self._with_local(transposed(self.local), self.layout.T)

    @property
    def H(self) -> Self:  # noqa: N802 - as in SciPy
        """The conjugate transposed matrix. Local; a copy."""
        adjoint = self.T
        if self.dtype.kind == "c":
            np.conjugate(adjoint.local, out=adjoint.local)
        return adjoint

    def _redistributed(self, layout: Layout) -> Self:
        """Return a copy in a layout that is the same on all ranks. Collective."""
        local = redistribute(self.comm, self.local, self.layout, layout)
        return self._with_local(operands.own(local, self.local), layout)

    def _with_local(self, local: Array, layout: Layout | None = None) -> Self:
        """Return a matrix of the same class from a local block. Local."""
        return type(self)(self.comm, layout or self.layout, local, agreed=True)
