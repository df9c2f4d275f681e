"""The darts of `mpiapps.kernels.pi` on a CUDA device, with the same bits.

The functions of `mpiapps.kernels.philox` keep 32-bit words in 64-bit lanes, for the
vector multiplication of CPUs. Compiled for a device they are correct, but an index
takes 140 instructions, and 94 by those of this file (sm_90, ptxas 12.9). numba computes
with uint32 in 64 bits; the conversion of each result lets the compiler narrow the
operations before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from mpiapps.device.cuda import THREADS, blocks_for, cuda, device_function, kernel
from mpiapps.kernels import philox, pi

_ZERO, _ONE, _SIXTEEN = np.uint32(0), np.uint32(1), np.uint32(16)
_SIGN, _LOW16 = np.uint32(31), np.uint32(0xFFFF)
_HALF, _LOW = philox._HALF, philox._LOW
_FACTOR0, _FACTOR1 = philox._FACTOR0, philox._FACTOR1
_WEYL0, _WEYL1 = philox._WEYL0, philox._WEYL1
_ONE64, _SIGN64 = np.uint64(1), np.uint64(63)
_SHARED = THREADS * 8  # bytes: a sum, uint64, of each thread of a block
Word = Any  # uint32


@device_function
def _words_at(index: Any, k0: Word, k1: Word) -> tuple[Word, Word, Word, Word]:
    """Return the four words of an index, uint64, and block 0 under a key."""
    c0, c1, c2, c3 = np.uint32(index), np.uint32(index >> _HALF), _ZERO, _ZERO
    for _ in range(10):
        product0, product1 = np.uint64(c0) * _FACTOR0, np.uint64(c2) * _FACTOR1
        c0 = np.uint32(np.uint32(product1 >> _HALF) ^ c1 ^ k0)
        c1 = np.uint32(product1)
        c2 = np.uint32(np.uint32(product0 >> _HALF) ^ c3 ^ k1)
        c3 = np.uint32(product0)
        k0 = np.uint32(np.uint64(k0) + _WEYL0)
        k1 = np.uint32(np.uint64(k1) + _WEYL1)
    return c0, c1, c2, c3


@device_function
def _half_product16(i: Word) -> Word:
    return np.uint32(np.uint32(i * np.uint32(i + _ONE)) >> _ONE)


@device_function
def _miss16(word: Word) -> Word:
    """Return 1 if the dart of two 16-bit coordinates in `word` misses, else 0."""
    i, j = np.uint32(word & _LOW16), np.uint32(word >> _SIXTEEN)
    return np.uint32(np.uint32(_half_product16(i) + _half_product16(j)) >> _SIGN)


@device_function
def _half_product32(i: Any) -> Any:
    return (i * i + i) >> _ONE64


@device_function
def _miss32(word_i: Word, word_j: Word) -> Word:
    """Return 1 if the dart of two 32-bit coordinates misses, else 0."""
    i, j = np.uint64(word_i), np.uint64(word_j)
    return np.uint32((_half_product32(i) + _half_product32(j)) >> _SIGN64)


@device_function
def _misses_of_narrow(a: Word, b: Word, c: Word, d: Word) -> Word:
    """Return the misses of the four 16-bit darts of an index."""
    return np.uint32(_miss16(a) + _miss16(b) + _miss16(c) + _miss16(d))


@device_function
def _misses_of_wide(a: Word, b: Word, c: Word, d: Word) -> Word:
    """Return the misses of the two 32-bit darts of an index."""
    return np.uint32(_miss32(a, b) + _miss32(c, d))


def _kernel(misses_of: Callable[..., Word]) -> Any:
    """Return the kernel that sums `misses_of` over indices, one sum for each block.

    A sum for each block, which the host adds, needs neither atomic operations nor an
    array set to zero; the last step of a block takes microseconds of milliseconds.
    """

    @kernel
    def sum_misses(k0: Word, k1: Word, first: Any, last: Any, sums: Any) -> None:
        # Of the size given at the launch: numba's simulator makes an array of a fixed
        # size when a thread first asks for it, and without a lock, for two threads.
        shared = cuda.shared.array(0, types.uint64)
        misses, step = np.uint64(0), np.uint64(cuda.gridsize(1))
        index = first + np.uint64(cuda.grid(1))
        while index < last:
            a, b, c, d = _words_at(index, k0, k1)
            misses += np.uint64(misses_of(a, b, c, d))
            index += step
        shared[cuda.threadIdx.x] = misses
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            for thread in range(1, cuda.blockDim.x):
                misses += shared[thread]
            sums[cuda.blockIdx.x] = misses

    return sum_misses


_KERNELS = {False: _kernel(_misses_of_narrow), True: _kernel(_misses_of_wide)}


def start_misses(seed: int, stream: int, first: int, last: int, wide: bool) -> Any:
    """Start to count the darts of indices `first` to `last` that miss.

    Returns
    -------
    array on the device, uint64, (blocks,)
        Its sum is their number, when the kernel is done.
    """
    blocks = blocks_for(last - first)
    sums = cuda.device_array(blocks, np.uint64)
    _KERNELS[wide][blocks, THREADS, 0, _SHARED](
        *(np.uint32(seed), np.uint32(stream), np.uint64(first), np.uint64(last), sums)
    )
    return sums


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
    index, stop = begin // per_index, end // per_index
    if index == stop:
        return hits
    sums = start_misses(seed, stream, index, stop, wide)
    return hits - int(sums.copy_to_host().sum())
