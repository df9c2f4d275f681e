"""Sums of the digits of `mpiapps.kernels.sum_states` in vectors; one process."""

from __future__ import annotations

import numpy as np

from mpiapps.kernels.bits import as_float64, as_int64, prefetch
from mpiapps.kernels.jit import kernel

MAGNITUDE = np.int64(2**63 - 1)  # mask of the bits without the sign
LANES = 4096  # most sums at a time
PLANE = 4104  # from one array of lanes to the next; not a power of two
ONE = np.float64(1).view(np.int64)


@kernel
def fold_columns(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray,
    start: int,
    stride: int,
    rows: int,
    lanes: int,
    mask: int,
    m: np.ndarray,
    s: np.ndarray,
) -> None:
    """Add the digits of rows to the first three planes of s.

    The fourth becomes negative where a number is above the fifth. The planes of m are
    the magic numbers. Constant distances between planes let LLVM see that they do not
    overlap.
    """
    for i in range(rows):
        p = start + i * stride
        for k in range(0, lanes, 8):
            prefetch(a, p + 4 * stride + k)
        x0 = a[p : p + lanes]
        for j in range(lanes):
            bits = as_int64(x0[j]) & mask
            x = as_float64(bits)
            s[3 * PLANE + j] |= s[4 * PLANE + j] - (bits & MAGNITUDE)
            y = x + m[j]
            s[j] += as_int64(y)
            x -= y - m[j]
            y = x + m[PLANE + j]
            s[PLANE + j] += as_int64(y)
            x -= y - m[PLANE + j]
            s[2 * PLANE + j] += as_int64(x + m[2 * PLANE + j])


@kernel
def fold_rows(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray,
    start: int,
    stride: int,
    n: int,
    lanes: int,
    mask: int,
    square: int,
    m: np.ndarray,
    s: np.ndarray,
) -> None:
    """Add the digits of rows of n numbers, one per lane; as `fold_columns`.

    `square` is -1 to add squares, otherwise 0.
    """
    one = ONE & ~square
    for i in range(lanes):
        m0, m1, m2 = m[i], m[PLANE + i], m[2 * PLANE + i]
        limit = s[4 * PLANE + i]
        s0 = s1 = s2 = above = np.int64(0)
        row = a[start + i * stride : start + i * stride + n]
        for j in range(n):
            bits = as_int64(row[j]) & mask
            x = as_float64(bits) * as_float64((bits & square) | one)
            above |= limit - (as_int64(x) & MAGNITUDE)
            y = x + m0
            s0 += as_int64(y)
            x -= y - m0
            y = x + m1
            s1 += as_int64(y)
            x -= y - m1
            s2 += as_int64(x + m2)
        s[i] += s0
        s[PLANE + i] += s1
        s[2 * PLANE + i] += s2
        s[3 * PLANE + i] |= above
