"""cuBLAS and cuSOLVER on CuPy's arrays, called as `mpiapps.kernels` calls BLAS.

cuBLAS has the routines of BLAS with the same arguments after a handle, so that a
submatrix is passed with its leading dimension and no copy, as on the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# The values of cuBLAS's enumerations: operation, triangle, side and diagonal.
LETTERS = {b"N": 0, b"T": 1, b"C": 2, b"L": 0, b"U": 1, b"R": 1}
UPPER = LETTERS[b"U"]
STRIP = 1024  # rows that are mirrored at a time: few operations, little workspace
PREFIXES = {"f": "s", "d": "d", "F": "c", "D": "z"}


class CudaLibraries:
    """The routines of `mpiapps.kernels.backends.Backend` on the current device.

    They run on the current stream. Precision is that of the dtype: no call asks for
    TF32.

    Parameters
    ----------
    module : module
        CuPy, or a stand-in for it.
    """

    def __init__(self, module: Any) -> None:
        self._module = module

    def blas(self, name: str, *values: Any) -> None:
        """Call a routine of cuBLAS. Local; returns before the device is done."""
        cuda = self._module.cuda
        arguments = [self._argument(value) for value in values]
        getattr(cuda.cublas, name)(cuda.device.get_cublas_handle(), *arguments)

    def _argument(self, value: Any) -> int:
        if isinstance(value, bytes):
            return LETTERS[value]
        if isinstance(value, np.ndarray):  # a factor, which cuBLAS reads on the host
            if value.ndim == 2:
                raise TypeError("an array in host memory among arrays on a device")
            return value.ctypes.data
        return value if isinstance(value, int) else int(value.data.ptr)

    def mirror_upper(self, out: Any) -> None:
        """Copy the upper triangle, conjugated, to the lower one. Local."""
        for start in range(0, len(out), STRIP):
            stop = start + STRIP
            block = out[start:stop, start:stop]
            upper = self._module.triu(block, 1)
            diagonal = self._module.diag(self._module.diagonal(block).real)
            block[...] = upper + upper.T.conj() + diagonal
            out[stop:, start:stop] = out[start:stop, stop:].T.conj()

    def potrf(self, whole: Any) -> int:
        """Compute the upper Cholesky factor in place; return info. Local; waits."""
        size_of, routine, handle = self._solver("potrf", whole)
        shape = UPPER, len(whole), whole.data.ptr, len(whole)
        size = size_of(handle, *shape)
        work, info = self._work(size, whole)
        routine(handle, *shape, work.data.ptr, size, info.data.ptr)
        whole[...] = self._module.triu(whole)
        return int(info[0])

    def getrf(self, whole: Any) -> tuple[npt.NDArray[np.int32], int]:
        """Compute LU factors in place; return pivots and info. Local; waits."""
        size_of, routine, handle = self._solver("getrf", whole)
        (m, n), pointer = whole.shape, whole.data.ptr
        work, info = self._work(size_of(handle, m, n, pointer, m), whole)
        pivots = self._module.empty(min(m, n), np.int32)
        outputs = work.data.ptr, pivots.data.ptr, info.data.ptr
        routine(handle, m, n, pointer, m, *outputs)
        return pivots.get() - 1, int(info[0])

    def _solver(self, name: str, whole: Any) -> tuple[Any, Any, int]:
        """Return the two functions of a routine of cuSOLVER, and the handle."""
        if not whole.flags.f_contiguous:
            raise ValueError(
                f"{name} of an array with strides {whole.strides}: expected a"
                " column-major one; copy it with order F"
            )
        cuda = self._module.cuda
        name = PREFIXES[whole.dtype.char] + name
        size_of = getattr(cuda.cusolver, name + "_bufferSize")
        routine = getattr(cuda.cusolver, name)
        return size_of, routine, cuda.device.get_cusolver_handle()

    def _work(self, size: int, like: Any) -> tuple[Any, Any]:
        """Return a work array of `size` elements, and the array for info."""
        empty = self._module.empty
        return empty(size, like.dtype), empty(1, np.int32)
