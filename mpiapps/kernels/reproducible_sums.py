"""Sums of float64 numbers that do not depend on their order; one process.

The method is explained in `mpiapps.kernels.sum_states`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from mpiapps.kernels.digit_sums import (
    LANES,
    PLANE,
    ROWS,
    fold_columns,
    fold_rows,
    merge,
    round_sums,
)
from mpiapps.kernels.jit import is_cached
from mpiapps.kernels.sum_states import (
    BIN,
    DIGITS,
    LIMIT,
    MAGIC,
    MAGNITUDE,
    MAX_NUMBERS,
    MINUS,
    PLUS,
    SCALED,
    SPECIAL,
    STATE_ROWS,
    Array,
    add_digits,
    carry,
    new_state,
    raise_bins,
)
from mpiapps.kernels.transpose import transposed

__all__ = [
    "MAGNITUDE",
    "MAX_NUMBERS",
    "STATE_ROWS",
    "add_columns",
    "add_rows",
    "compile_kernels",
    "merge",
    "new_state",
    "values",
]

TILE = 2**18  # numbers at a time; again if one is above the bin
FIRST = 8  # rows that determine the first bins of columns
NARROW = 32  # columns, that rows of narrower arrays are joined to
SHORT = 128  # columns up to this length are transposed
KERNELS: list[Callable[..., Any]] = [fold_columns, fold_rows, merge, round_sums]


def add_columns(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: Array, start: int, stride: int, rows: int, mask: int, state: Array
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
    if stride == n and 2 * n <= NARROW and rows * n >= 4 * NARROW:
        # Rows of a narrow array side by side: longer vectors.
        repeats = (LANES if rows * n >= 16 * LANES else NARROW) // n
        joined = new_state(n * repeats)
        add_columns(a, start, n * repeats, rows // repeats, mask, joined)
        merge(np.ascontiguousarray(joined.T)[None], state)
        start += rows // repeats * repeats * n
        rows %= repeats
    last = rows if rows <= SHORT else rows % ROWS
    rows -= last
    if last:
        short = _block(a, start + rows * stride, stride, last, n)
        add_rows(transposed(short).reshape(-1), 0, last, last, mask, False, state)
    height = TILE // min(n, LANES) // ROWS * ROWS
    for i in range(0, rows, height):
        for j in range(0, n, LANES):
            part = state[:, j : j + LANES]
            count = min(height, rows - i)
            _add_tile(a, start + i * stride + j, stride, count, mask, part)
    carry(state)


def add_rows(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: Array, start: int, stride: int, n: int, mask: int, square: bool, state: Array
) -> None:
    """Add rows of n numbers, up to `MAX_NUMBERS`, to a sum each; as `add_columns`.

    `square` adds squares.
    """
    left = np.empty(state.shape[1], bool)
    for j in range(0, n, TILE):
        count, begin = min(TILE, n - j), start + j
        if fold_rows(a, begin, stride, count, mask, -int(square), state, left):
            some = _block(a, begin, stride, len(left), count)[left]
            part = state[:, left]
            add_digits(part, _terms(some, mask, square), 1)
            state[:, left] = part
    carry(state)


def values(state: Array) -> Array:
    """Return the sums as float64, within one unit in the last place."""
    result = np.empty(state.shape[1])
    round_sums(state, result)
    if result.size and state[0].max() >= SPECIAL:
        special = state[0] >= SPECIAL
        flags = state[0, special] - SPECIAL
        result[special] = np.select(
            [flags == PLUS, flags == MINUS], [np.inf, -np.inf], np.nan
        )
    return result


def _block(a: Array, start: int, stride: int, rows: int, n: int) -> Array:
    """Return a part of an array, (rows, n), without a copy."""
    strides = (stride * a.itemsize, a.itemsize)
    return as_strided(a[start:], (rows, n), strides, writeable=False)


def _add_tile(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: Array, start: int, stride: int, rows: int, mask: int, state: Array
) -> None:
    """Add rows to up to `LANES` sums.

    The first rows have the right bins most of the time; if a number is above, bins are
    raised to those of all and the sums repeated.
    """
    lanes = state.shape[1]
    block = _block(a, start, stride, rows, lanes)
    m, s = np.empty(DIGITS * PLANE), np.empty(5 * PLANE, np.int64)
    magic = m.view(np.int64).reshape(DIGITS, PLANE)[:, :lanes]
    sums = s.reshape(5, PLANE)[:, :lanes]
    if state[0].min() < 0:
        raise_bins(state, _terms(block[:FIRST], mask), 0)
    for _ in range(2):
        top = state[0]
        if top.max() >= SCALED:
            break
        magic[...] = MAGIC[:, None] + top * BIN
        sums[:4] = 0
        sums[4] = LIMIT + top * BIN
        fold_columns(a, start, stride, rows, lanes, mask, m, s)
        if sums[3].min() >= 0:
            state[1 : 1 + DIGITS] += sums[:DIGITS] - rows * magic
            return
        raise_bins(state, _terms(block, mask), 0)
    add_digits(state, _terms(block, mask), 0)


def _terms(x: Array, mask: int, square: bool = False) -> Array:
    """Return x, magnitudes or squares."""
    with np.errstate(all="ignore"):
        return np.square(x) if square else np.abs(x) if mask == MAGNITUDE else x


def compile_kernels(compiling: Callable[[bool], AbstractContextManager[None]]) -> None:
    """Compile the kernels, or load them from the cache, in ``with compiling(cold)``."""
    state, numbers = new_state(1), np.zeros(SHORT + ROWS)
    with compiling(not all(map(is_cached, KERNELS))):
        add_columns(numbers, 0, 1, SHORT + ROWS, -1, state)
        add_rows(numbers, 0, 1, 1, -1, False, state)
        merge(np.zeros((1, 1, STATE_ROWS), np.int64), state)
        values(state)
