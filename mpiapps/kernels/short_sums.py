"""Sums of few numbers each, many at a time in vectors, without states; one process.

The digits, and so the bits, are those of `mpiapps.kernels.sum_states`.
"""

from __future__ import annotations

import numpy as np

from mpiapps.kernels.bits import as_int64
from mpiapps.kernels.digit_sums import LANES, PLANE, find_bins, fold_tile
from mpiapps.kernels.jit import kernel
from mpiapps.kernels.sum_states import (
    BIN,
    DIGIT_BITS,
    DIGITS,
    LIMIT,
    MAGNITUDE,
    SCALED,
    UNITS,
)

MOST = 32  # numbers per sum
Pair = tuple[np.ndarray, np.ndarray]
NARROW = 64  # sums at a time whose numbers are copied: they stay in the L1 cache


@kernel
def sum_short(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray,
    start: int,
    stride: int,
    step: int,
    n: int,
    mask: int,
    count: int,
    sums: np.ndarray,
    rests: np.ndarray,
    left: np.ndarray,
) -> int:
    """Set results to sums or means of n numbers each; return how many are left.

    Parameters
    ----------
    a : ndarray of float64 or float32, 1-D, C-contiguous
    start, stride, step, n : int
        Number i of sum j is ``a[start + j * stride + i * step]``; n is up to `MOST`.
    mask : int
        -1, or `MAGNITUDE` for magnitudes.
    count : int
        0 for sums, or n for means.
    sums, rests : ndarray of float64, (k,)
        The sums; or the means, and those of the deviations from them.
    left : ndarray of bool, (k,)
        Set where the result is not, as in `merged_sums.round_means`.
    """
    x, bins = np.empty(MOST * NARROW), np.empty(LANES, np.int64)
    m, s = np.empty(DIGITS * PLANE), np.empty(5 * PLANE, np.int64)
    most = LANES if stride == 1 else NARROW
    for j in range(0, len(left), most):
        lanes = min(most, len(left) - j)
        some, p = left[j : j + lanes], start + j * stride
        if stride == 1:
            find_bins(a, p, step, n, mask, bins[:lanes])
            fold_tile(a, p, step, n, mask, bins, some, m, s)
        else:
            for k in range(lanes):
                for i in range(n):
                    x[i * lanes + k] = a[p + k * stride + i * step]
            find_bins(x, 0, lanes, n, mask, bins[:lanes])
            fold_tile(x, 0, lanes, n, mask, bins, some, m, s)
        if count:
            own = sums[j : j + lanes], rests[j : j + lanes]
            _round_means(bins, n, (m, s), own, some)
        else:
            _round_sums(bins, n, (m, s), sums[j : j + lanes])
    return int(np.count_nonzero(left))


@kernel
def _round_sums(bins: np.ndarray, n: int, planes: Pair, result: np.ndarray) -> None:
    """Set sums of n numbers, as `merged_sums.round_sums`."""
    m, s = planes
    magic = m.view(np.int64)
    for k in range(len(result)):
        d0 = s[k] - n * magic[k]
        d1 = s[PLANE + k] - n * magic[PLANE + k]
        d2 = s[2 * PLANE + k] - n * magic[2 * PLANE + k]
        result[k] = _rounded(min(bins[k], SCALED), d0, d1, d2)


@kernel
def _round_means(
    bins: np.ndarray, n: int, planes: Pair, results: Pair, left: np.ndarray
) -> None:
    """Set means and those of the deviations, as `merged_sums.round_means`."""
    (m, s), (means, rests) = planes, results
    magic = m.view(np.int64)
    for k in range(len(left)):
        top = min(bins[k], SCALED)
        i0, i1, i2 = magic[k], magic[PLANE + k], magic[2 * PLANE + k]
        m0, m1, m2 = m[k], m[PLANE + k], m[2 * PLANE + k]
        d0, d1, d2 = s[k] - n * i0, s[PLANE + k] - n * i1, s[2 * PLANE + k] - n * i2
        mean = _rounded(top, d0, d1, d2) / n
        left[k] |= (as_int64(mean) & MAGNITUDE) > LIMIT + top * BIN
        y0 = mean + m0
        x = mean - (y0 - m0)
        y1 = x + m1
        x -= y1 - m1
        d0 -= n * (as_int64(y0) - i0)
        d1 -= n * (as_int64(y1) - i1)
        d2 -= n * (as_int64(x + m2) - i2)
        means[k], rests[k] = mean, _rounded(top, d0, d1, d2) / n


@kernel
def _rounded(top: int, d0: int, d1: int, d2: int) -> float:
    """Return a sum, as `merged_sums.round_sums`, from digits that are not large."""
    half = 1 << (DIGIT_BITS - 1)
    carry = (d2 + half) >> DIGIT_BITS
    d2 -= carry << DIGIT_BITS
    d1 += carry
    carry = (d1 + half) >> DIGIT_BITS
    d1 -= carry << DIGIT_BITS
    total: float = (d0 + carry) * 2.0 ** (2 * DIGIT_BITS) + (d1 * 2.0**DIGIT_BITS + d2)
    total *= UNITS[top]  # exact: a result below 2**-1022 has no more digits
    return total
