"""Sums of float64 or float32 numbers that do not depend on their order; one process.

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
    ROWS,
    fold_tiles,
)
from mpiapps.kernels.jit import is_cached
from mpiapps.kernels.merged_sums import merge, round_means, round_sums
from mpiapps.kernels.row_sums import fold_rows
from mpiapps.kernels.short_sums import MOST, sum_short
from mpiapps.kernels.sum_states import (
    MAGNITUDE,
    MAX_NUMBERS,
    MINUS,
    PLUS,
    SPECIAL,
    STATE_ROWS,
    Array,
    add_digits,
    carry,
    new_state,
)

__all__ = [
    "MAGNITUDE",
    "MAX_NUMBERS",
    "MOST",
    "STATE_ROWS",
    "add_columns",
    "add_rows",
    "compile_kernels",
    "finished",
    "means",
    "merge",
    "new_state",
    "of_short",
    "values",
]

TILE = 2**18  # numbers at a time; again if one is above the bin
NARROW = 32  # columns, that rows of narrower arrays are joined to
KERNELS: list[Callable[..., Any]] = [
    fold_tiles,
    fold_rows,
    merge,
    round_sums,
    round_means,
    sum_short,
]


def add_columns(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: Array, start: int, stride: int, rows: int, mask: int, state: Array
) -> None:
    """Add columns of rows of an array to n sums.

    Parameters
    ----------
    a : ndarray of float64 or float32, 1-D, C-contiguous
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
    height = TILE // min(n, LANES) // ROWS * ROWS
    left = np.empty(n, bool)
    for i in range(0, rows, height):
        count, begin = min(height, rows - i), start + i * stride
        if fold_tiles(a, begin, stride, count, mask, state, left):
            some = _block(a[begin:], (count, n), (stride, 1))[:, left]
            part = state[:, left]
            add_digits(part, _terms(some, mask), 0)
            carry(part)
            state[:, left] = part


def add_rows(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: Array,
    start: int,
    stride: int,
    n: int,
    mask: int,
    square: bool,
    state: Array,
    step: int = 1,
) -> None:
    """Add rows of n numbers, up to `MAX_NUMBERS`, to a sum each; as `add_columns`.

    `square` adds squares, `step` is the distance of the numbers of a row, 1 or 2.
    """
    left = np.empty(state.shape[1], bool)
    for j in range(0, n, TILE):
        count, begin = min(TILE, n - j), start + step * j
        if fold_rows(a, begin, stride, step, count, mask, square, state, left):
            some = _block(a[begin:], (len(left), count), (stride, step))[left]
            part = state[:, left]
            add_digits(part, _terms(some, mask, square), 1)
            carry(part)
            state[:, left] = part


def of_short(
    a: Array,
    place: tuple[int, int, int, int],
    mask: int,
    count: int | None,
    result: Array,
) -> None:
    """Set `result` to sums of few numbers each, (1, k), or to means, (2, k).

    They are those of states.

    Parameters
    ----------
    a : ndarray of float64 or float32, 1-D, C-contiguous
    place : tuple of int
        start, stride, step and n of `short_sums.sum_short`.
    mask : int
        -1, or `MAGNITUDE` for magnitudes.
    count : int or None
        None for sums, n for means.
    result : ndarray of float64
    """
    left = np.empty(result.shape[1], bool)
    if sum_short(a, *place, mask, count or 0, result[0], result[-1], left):
        start, stride, step, n = place
        some = _block(a[start:], (n, len(left)), (step, stride))[:, left]
        rest = new_state(some.shape[1])
        add_digits(rest, _terms(some, mask), 0)
        carry(rest)
        result[:, left] = finished(rest, count)


def finished(state: Array, count: int | None) -> Array:
    """Return the sums as `values`, (1, n), or the `means` of `count` numbers."""
    return values(state)[None] if count is None else means(state, count)


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


def means(state: Array, count: int) -> Array:
    """Return the means of `count` numbers, and of the deviations from them, (2, n).

    The latter are not zero, because the former are rounded. `count` is below 2**43.
    """
    result = np.empty((2, state.shape[1]))
    left = np.ones(state.shape[1], bool)
    if count:
        round_means(state, count, result, left)
    if left.any():
        # In C order, for which the kernels are compiled.
        some, rest = np.ascontiguousarray(state[:, left]), new_state(int(left.sum()))
        mean = values(some) / (count or np.nan)
        add_digits(rest, -mean[None], 0, count)
        merge(np.ascontiguousarray(some.T)[None], rest)
        result[:, left] = mean, values(rest) / (count or np.nan)
    return result


def _block(a: Array, shape: tuple[int, int], distances: tuple[int, int]) -> Array:
    """Return numbers of a 1-D array as rows, without a copy.

    `distances` are those of rows, and of the numbers of a row.
    """
    row, number = distances
    strides = (row * a.itemsize, number * a.itemsize)
    return as_strided(a, shape, strides, writeable=False)


def _terms(x: Array, mask: int, square: bool = False) -> Array:
    """Return x, magnitudes or squares, in float64."""
    x = x.astype(np.float64, copy=False)
    with np.errstate(all="ignore"):
        return np.square(x) if square else np.abs(x) if mask == MAGNITUDE else x


def compile_kernels(compiling: Callable[[bool], AbstractContextManager[None]]) -> None:
    """Compile the kernels, or load them from the cache, in ``with compiling(cold)``."""
    state = new_state(1)
    with compiling(not all(map(is_cached, KERNELS))):
        for dtype in ("f8", "f4"):
            numbers = np.zeros(ROWS, dtype)
            add_columns(numbers, 0, 1, ROWS, -1, state)
            add_rows(numbers, 0, 1, 1, -1, False, state)
            of_short(numbers, (0, 1, 1, ROWS), -1, None, np.empty((1, 1)))
        merge(np.zeros((1, 1, STATE_ROWS), np.int64), state)
        values(state)
        means(state, 1)
