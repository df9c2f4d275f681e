"""The k-th smallest numbers of an array in blocks, found by counting.

Numbers are mapped to unsigned integers in the same order, their keys; each step counts
the next 8 bits of the keys that share the bits found so far (a radix selection). Counts
are integers, so the result does not depend on the blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.launch.mpi import MPI

DIGIT_BITS = 8
DIGITS = np.arange(1 << DIGIT_BITS, dtype=np.uint64)


def order_statistics(comm: MPI.Intracomm, block: Array, indices: Array) -> Array:
    """Return the numbers at `indices` of the sorted whole array. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm
    block : ndarray, 1-D, C-contiguous
        Of bool, integers or float16 to float64, without NaN; -0.0 is before 0.0.
    indices : ndarray of int64
        From 0, below the number of elements on all ranks; the same on all ranks.

    Returns
    -------
    ndarray
        Of the dtype of `block` and the shape of `indices`.

    Notes
    -----
    Cost: as many all-reduces as the dtype has bytes, of up to 2 KiB per index; a sorted
    copy of the block.
    """
    block = block.astype(block.dtype.newbyteorder("="), copy=False)
    keys = np.sort(_keys(block))
    different, positions = np.unique(indices, return_inverse=True)
    selected = _selected_keys(comm, keys, different).astype(keys.dtype)
    return _numbers(selected, block.dtype)[positions].reshape(indices.shape)


def _selected_keys(comm: MPI.Intracomm, keys: Array, indices: Array) -> Array:
    """Return the keys, uint64, at `indices` of the sorted keys of all ranks."""
    found = np.zeros(len(indices), np.uint64)
    remaining = indices.astype(np.int64)  # index among the keys that begin with `found`
    for shift in range(8 * keys.itemsize - DIGIT_BITS, -1, -DIGIT_BITS):
        prefixes, positions = np.unique(found, return_inverse=True)
        first = ((prefixes[:, None] << DIGIT_BITS) | DIGITS) << shift
        last = (first | ((1 << shift) - 1)).astype(keys.dtype)
        below = np.searchsorted(keys, first[:, :1].astype(keys.dtype))
        # Of keys with a prefix, whose next digit is at most 0, 1, ...
        counts = np.searchsorted(keys, last, side="right") - below
        counts = np.ascontiguousarray(counts, np.int64)
        comm.Allreduce(MPI.IN_PLACE, counts)
        counts = counts[positions]
        digits = (counts <= remaining[:, None]).sum(axis=1)
        smaller = np.take_along_axis(counts, digits[:, None] - 1, axis=1)[:, 0]
        remaining -= np.where(digits > 0, smaller, 0)
        found = (found << DIGIT_BITS) | digits.astype(np.uint64)
    return found


def _unsigned(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], Any]:
    """Return the unsigned dtype of the same size, and its number with the sign bit."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    return unsigned, unsigned.type(1 << (8 * dtype.itemsize - 1))


def _keys(numbers: Array) -> Array:
    unsigned, sign = _unsigned(numbers.dtype)
    bits = numbers.view(unsigned)
    if numbers.dtype.kind == "f":
        return np.where(bits & sign, ~bits, bits | sign)
    return bits ^ sign if numbers.dtype.kind == "i" else bits


def _numbers(keys: Array, dtype: np.dtype[Any]) -> Array:
    """Return the numbers of keys: the inverse of `_keys`."""
    _, sign = _unsigned(dtype)
    if dtype.kind == "f":
        keys = np.where(keys & sign, keys ^ sign, ~keys)
    elif dtype.kind == "i":
        keys ^= sign
    return keys.view(dtype)
