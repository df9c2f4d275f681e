"""Sums of columns into the states of `mpiapps.kernels.sum_states`; one process."""

from __future__ import annotations

import numpy as np

from mpiapps.kernels.bits import as_float64, as_int64, prefetch
from mpiapps.kernels.jit import kernel
from mpiapps.kernels.sum_states import (
    BIN,
    DIGITS,
    INFINITY,
    MAGIC,
    MAGNITUDE,
    SCALE,
    SCALED,
    SPECIAL,
    STATE_ROWS,
    bin_of,
    carry,
    flag_of,
    limit_of,
    merge,
    shift,
    term,
)

LANES = 256  # columns at a time, whose sums stay in the first-level cache
NARROW = 32  # columns, that rows of narrower arrays are joined to
TILE = 2**14  # numbers at a time; again if one is above the bin
FIRST_ROWS = 4  # that determine the first bin
PLANE = 264  # from one array of lanes to the next; not a power of two


@kernel
def _raise_bins(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray,
    start: int,
    stride: int,
    rows: int,
    lanes: int,
    state: np.ndarray,
    first: int,
    mask: int,
) -> None:
    """Raise the bins of some sums to those of rows, and set their flags."""
    largest = np.zeros(lanes, np.int64)
    for i in range(rows):
        row = a[start + i * stride : start + i * stride + lanes]
        for j in range(lanes):
            # Without a condition, so that LLVM uses vectors.
            magnitude = as_int64(row[j]) & MAGNITUDE
            largest[j] += max(np.int64(0), magnitude - largest[j])
    for j in range(lanes):
        top = state[0, first + j]
        if largest[j] < INFINITY:
            if top < 0:
                state[0, first + j] = bin_of(largest[j])
            elif top < bin_of(largest[j]):
                shift(state, first + j, bin_of(largest[j]))
            continue
        flags = max(top, SPECIAL)
        for i in range(rows):
            flags |= flag_of(term(a[start + i * stride + j], mask, False))
        state[0, first + j] = flags


@kernel
def _fold_columns(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
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

    The fourth becomes negative where a number is above the fifth. Constant distances
    between the planes let LLVM see that they do not overlap.
    """
    one = False
    for i in range(0, rows - 3, 4):
        p = start + i * stride
        for row in range(4, 8):
            for k in range(0, lanes, 8):
                prefetch(a, p + row * stride + k)
        a0 = a[p : p + lanes]
        a1 = a[p + stride : p + stride + lanes]
        a2 = a[p + 2 * stride : p + 2 * stride + lanes]
        a3 = a[p + 3 * stride : p + 3 * stride + lanes]
        for j in range(lanes):
            m0, m1, m2 = m[j], m[PLANE + j], m[2 * PLANE + j]
            x0, x1 = term(a0[j], mask, one), term(a1[j], mask, one)
            x2, x3 = term(a2[j], mask, one), term(a3[j], mask, one)
            limit = s[4 * PLANE + j]
            s[3 * PLANE + j] |= (
                (limit - (as_int64(x0) & MAGNITUDE))
                | (limit - (as_int64(x1) & MAGNITUDE))
                | (limit - (as_int64(x2) & MAGNITUDE))
                | (limit - (as_int64(x3) & MAGNITUDE))
            )
            y0, y1, y2, y3 = x0 + m0, x1 + m0, x2 + m0, x3 + m0
            s[j] += (as_int64(y0) + as_int64(y1)) + (as_int64(y2) + as_int64(y3))
            x0, x1 = x0 - (y0 - m0), x1 - (y1 - m0)
            x2, x3 = x2 - (y2 - m0), x3 - (y3 - m0)
            y0, y1, y2, y3 = x0 + m1, x1 + m1, x2 + m1, x3 + m1
            s[PLANE + j] += (as_int64(y0) + as_int64(y1)) + (
                as_int64(y2) + as_int64(y3)
            )
            x0, x1 = x0 - (y0 - m1), x1 - (y1 - m1)
            x2, x3 = x2 - (y2 - m1), x3 - (y3 - m1)
            s[2 * PLANE + j] += (as_int64(x0 + m2) + as_int64(x1 + m2)) + (
                as_int64(x2 + m2) + as_int64(x3 + m2)
            )
    for i in range(rows - rows % 4, rows):
        p = start + i * stride
        a0 = a[p : p + lanes]
        for j in range(lanes):
            x = term(a0[j], mask, one)
            s[3 * PLANE + j] |= s[4 * PLANE + j] - (as_int64(x) & MAGNITUDE)
            y = x + m[j]
            s[j] += as_int64(y)
            x -= y - m[j]
            y = x + m[PLANE + j]
            s[PLANE + j] += as_int64(y)
            x -= y - m[PLANE + j]
            s[2 * PLANE + j] += as_int64(x + m[2 * PLANE + j])


@kernel
def _load_bins(
    state: np.ndarray, first: int, lanes: int, m: np.ndarray, s: np.ndarray
) -> bool:
    """Set magic numbers and limits; return whether a sum has scaled numbers."""
    largest = np.int64(0)
    for j in range(lanes):
        top = max(np.int64(0), min(state[0, first + j], SCALED))
        largest = max(largest, top)
        s[4 * PLANE + j] = limit_of(top)
        top -= 2 * (top // SCALED)
        m[j] = as_float64(MAGIC[0] + top * BIN)
        m[PLANE + j] = as_float64(MAGIC[1] + top * BIN)
        m[2 * PLANE + j] = as_float64(MAGIC[2] + top * BIN)
    return bool(largest == SCALED)


@kernel
def _add_tile(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray,
    start: int,
    stride: int,
    rows: int,
    lanes: int,
    state: np.ndarray,
    first: int,
    mask: int,
    m: np.ndarray,
    s: np.ndarray,
    buffer: np.ndarray,
) -> None:
    """Add columns of up to ``TILE // lanes`` rows to the sums from `first` on."""
    # The first rows have the right bins most of the time.
    seen = min(rows, FIRST_ROWS) if state[0, first] < 0 else 0
    while True:
        if seen:
            _raise_bins(a, start, stride, seen, lanes, state, first, mask)
        source, begin, step = a, start, stride
        if _load_bins(state, first, lanes, m, s):
            for i in range(rows):
                for j in range(lanes):
                    is_scaled = state[0, first + j] == SCALED
                    x = a[start + i * stride + j]
                    buffer[i * lanes + j] = x * (SCALE if is_scaled else 1.0)
            source, begin, step = buffer, 0, lanes
        for k in range(4):
            s[k * PLANE : k * PLANE + lanes] = 0
        _fold_columns(source, begin, step, rows, lanes, mask, m, s)
        above = np.int64(0)
        for j in range(lanes):
            above |= s[3 * PLANE + j]
        if seen == rows or above >= 0:
            break
        seen = rows
    for k in range(DIGITS):
        for j in range(lanes):
            s[k * PLANE + j] -= rows * as_int64(m[k * PLANE + j])
            state[1 + k, first + j] += s[k * PLANE + j]


@kernel
def add_columns(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray, start: int, stride: int, rows: int, mask: int, state: np.ndarray
) -> None:
    """Add columns of rows of an array to n sums.

    Parameters
    ----------
    a : ndarray of float64, 1-D, C-contiguous
    start, stride, rows : int
        Index of the first number, distance of rows, and their number, up to
        `MAX_NUMBERS`.
    mask : int
        -1, or `MAGNITUDE` to add magnitudes.
    state : ndarray of int64, (7, n)
        Changed.
    """
    n = state.shape[1]
    m, s = np.empty(DIGITS * PLANE), np.empty(5 * PLANE, np.int64)
    buffer = np.empty(TILE)
    sums, width, repeats = state, n, 1
    if stride == n and 2 * n <= NARROW and rows * n >= 4 * NARROW:
        # Rows of a narrow array side by side: longer vectors.
        repeats = NARROW // n
        width = n * repeats
        stride = width
        sums = np.zeros((STATE_ROWS, width), np.int64)
        sums[0] = -1
    while True:
        height = TILE // min(width, LANES)
        for i in range(0, rows // repeats, height):
            for first in range(0, width, LANES):
                _add_tile(
                    a, start + i * stride + first, stride,
                    min(height, rows // repeats - i), min(LANES, width - first),
                    sums, first, mask, m, s, buffer,
                )  # fmt: skip
        if repeats == 1:
            break
        merge(sums.reshape((1, STATE_ROWS, width)), state)
        start += rows // repeats * width
        rows, sums, width, stride, repeats = rows % repeats, state, n, n, 1
    carry(state)
