"""The counter-based generator Philox4x32-10, in a form that LLVM vectorises.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11.
The four words are in 64-bit lanes, so that one multiplication gives both halves of the
product; only the low 32 bits of a lane are significant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.kernels.jit import inline, kernel

Word = Any  # uint64; Numba infers the types of inlined functions

FEW_PAIRS = 8  # of numbers in a row
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_FACTOR0 = np.uint64(0xD2511F53)
_FACTOR1 = np.uint64(0xCD9E8D57)
_WEYL0 = np.uint64(0x9E3779B9)
_WEYL1 = np.uint64(0xBB67AE85)


@inline
def philox(  # noqa: PLR0913, PLR0917 - the six words of a counter and a key
    c0: Word, c1: Word, c2: Word, c3: Word, k0: Word, k1: Word
) -> tuple[Word, Word, Word, Word]:
    """Return four random words for a counter and a key, in the low halves of uint64."""
    for _ in range(10):
        product0 = _FACTOR0 * (c0 & _LOW)
        product1 = _FACTOR1 * (c2 & _LOW)
        c0 = (product1 >> _HALF) ^ c1 ^ k0
        c1 = product1
        c2 = (product0 >> _HALF) ^ c3 ^ k1
        c3 = product0
        k0 = (k0 + _WEYL0) & _LOW
        k1 = (k1 + _WEYL1) & _LOW
    return c0, c1, c2, c3


@inline
def words_at(index: Word, block: Word, seed: Word, stream: Word) -> Word:
    """Return the four words of a 64-bit index and block under a key; see `philox`."""
    return philox(
        index & _LOW, index >> _HALF, block & _LOW, block >> _HALF, seed, stream
    )


@kernel
def fill_words(
    seed: np.uint64,
    stream: np.uint64,
    first: np.uint64,
    block: np.uint64,
    words: npt.NDArray[np.uint32],
) -> None:
    """Fill `words` with the output for ``(first, block)`` and the following counters.

    `words` is a C-contiguous uint32 array whose length is a multiple of 4.
    """
    for i in range(words.size // 4):
        w0, w1, w2, w3 = words_at(first + np.uint64(i), block, seed, stream)
        words[4 * i] = w0 & _LOW
        words[4 * i + 1] = w1 & _LOW
        words[4 * i + 2] = w2 & _LOW
        words[4 * i + 3] = w3 & _LOW


@inline
def _pair_at(index: Word, block: Word, seed: Word, stream: Word) -> Any:
    """Return the two numbers in [-1, 1) of a counter; see `words_at`."""
    w0, w1, w2, w3 = words_at(index, block, seed, stream)
    return _number(w0, w1), _number(w2, w3)


@inline
def _number(low: Word, high: Word) -> Any:
    """Return the upper 53 bits of two words as a number in [-1, 1)."""
    bits = ((high & _LOW) << np.uint64(21)) | ((low & _LOW) >> np.uint64(11))
    return np.float64(np.int64(bits)) * 2.0**-52 - 1.0


@kernel
def fill_uniform(
    seed: np.uint64,
    stream: np.uint64,
    first: np.uint64,
    blocks: npt.NDArray[np.uint64],
    numbers: npt.NDArray[np.float64],
) -> None:
    """Fill row i of `numbers` with numbers uniform in [-1, 1) of ``blocks[i]``.

    `numbers` has an even number of columns, fewer than ``2 FEW_PAIRS`` in Fortran
    order, else in C order; columns 2k and 2k + 1 are from the counter ``first + k``, 53
    bits each.
    """
    pairs = numbers.shape[1] // 2
    if pairs < FEW_PAIRS:  # the inner loop is the one that is vectorised
        for k in range(pairs):
            for i in range(blocks.size):
                pair = _pair_at(first + np.uint64(k), blocks[i], seed, stream)
                numbers[i, 2 * k], numbers[i, 2 * k + 1] = pair
    else:
        for i in range(blocks.size):
            for k in range(pairs):
                pair = _pair_at(first + np.uint64(k), blocks[i], seed, stream)
                numbers[i, 2 * k], numbers[i, 2 * k + 1] = pair
