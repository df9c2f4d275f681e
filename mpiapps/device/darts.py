"""The darts of `mpiapps.kernels.pi` on a CUDA device, with the same bits.

The body of `mpiapps.kernels.philox.philox` is compiled for the device as it is. Darts
are tested in 64-bit lanes here: the operations of `mpiapps.kernels.u32` do not exist in
numba's simulator, and no value exceeds its type, so both give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from mpiapps.device.cuda import THREADS, blocks_for, cuda
from mpiapps.kernels import philox as philox_kernels
from mpiapps.kernels import pi

_ZERO, _ONE, _HALF = np.uint64(0), np.uint64(1), np.uint64(32)
_SIXTEEN, _SIGN32, _SIGN64 = np.uint64(16), np.uint64(31), np.uint64(63)
_LOW16, _LOW = np.uint64(0xFFFF), np.uint64(0xFFFFFFFF)
SHARED = 256  # elements of the array that the threads of a block share
Word = Any  # uint64

_philox = cuda.jit(device=True)(cast(Any, philox_kernels.philox).py_func)


@cuda.jit(device=True)  # type: ignore[untyped-decorator]
def _half_product(i: Word) -> Word:
    return (i * (i + _ONE)) >> _ONE


@cuda.jit(device=True)  # type: ignore[untyped-decorator]
def _miss16(word: Word) -> Word:
    """Return 1 if the dart of two 16-bit coordinates in `word` misses, else 0."""
    i, j = word & _LOW16, (word >> _SIXTEEN) & _LOW16
    return (_half_product(i) + _half_product(j)) >> _SIGN32


@cuda.jit(device=True)  # type: ignore[untyped-decorator]
def _miss32(word_i: Word, word_j: Word) -> Word:
    """Return 1 if the dart of two 32-bit coordinates misses, else 0."""
    return (_half_product(word_i & _LOW) + _half_product(word_j & _LOW)) >> _SIGN64


@cuda.jit(device=True)  # type: ignore[untyped-decorator]
def _misses_of_narrow(a: Word, b: Word, c: Word, d: Word) -> Word:
    """Return the misses of the four 16-bit darts of an index."""
    return (_miss16(a) + _miss16(b)) + (_miss16(c) + _miss16(d))


@cuda.jit(device=True)  # type: ignore[untyped-decorator]
def _misses_of_wide(a: Word, b: Word, c: Word, d: Word) -> Word:
    """Return the misses of the two 32-bit darts of an index."""
    return _miss32(a, b) + _miss32(c, d)


def _kernel(misses_of: Callable[..., Word]) -> Any:
    """Return the kernel that sums `misses_of` over indices, one sum for each block.

    A sum for each block, which the host adds, needs neither atomic operations nor an
    array set to zero; the last step of a block takes microseconds of milliseconds.
    """

    @cuda.jit  # type: ignore[untyped-decorator]
    def kernel(k0: Word, k1: Word, first: Word, n: int, sums: Any) -> None:
        shared = cuda.shared.array(SHARED, np.uint64)
        misses = _ZERO
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            index = first + np.uint64(i)
            a, b, c, d = _philox(index & _LOW, index >> _HALF, _ZERO, _ZERO, k0, k1)
            misses += misses_of(a, b, c, d)
        shared[cuda.threadIdx.x] = misses
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            for thread in range(1, cuda.blockDim.x):
                misses += shared[thread]
            sums[cuda.blockIdx.x] = misses

    return kernel


_KERNELS = {False: _kernel(_misses_of_narrow), True: _kernel(_misses_of_wide)}


def count_darts(seed: int, stream: int, first: int, last: int, wide: bool) -> int:
    """Return the number of darts `first` to `last` that hit the quarter circle.

    On the current device; arguments and result are those of
    `mpiapps.kernels.pi.count_darts`, which counts the up to six darts whose index of
    the random stream is not complete. Returns when the device is done; 8 bytes are
    copied for each block.
    """
    per_index = 2 if wide else 4
    begin = min(-(-first // per_index) * per_index, last)
    end = max(last // per_index * per_index, begin)
    hits = end - begin
    for edge in (first, begin), (end, last):
        if edge[0] < edge[1]:
            hits += pi.count_darts(seed, stream, *edge, wide)
    n = (end - begin) // per_index
    if n == 0:
        return hits
    blocks = blocks_for(n)
    sums = cuda.device_array(blocks, np.uint64)
    _KERNELS[wide][blocks, THREADS](
        *(np.uint64(seed), np.uint64(stream), np.uint64(begin // per_index), n, sums)
    )
    return hits - int(sums.copy_to_host().sum())
