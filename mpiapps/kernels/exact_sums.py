"""Sums of float64 numbers that do not depend on their order; one process.

The method is explained in `mpiapps.kernels.sum_states`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from mpiapps.comm.chunking import Array
from mpiapps.kernels.digit_sums import (
    LANES,
    MAGNITUDE,
    PLANE,
    fold_columns,
    fold_rows,
)
from mpiapps.kernels.jit import is_cached
from mpiapps.kernels.sum_states import (
    BIN,
    DIGITS,
    INFINITY,
    LIMIT,
    MAGIC,
    MAX_NUMBERS,
    SCALE,
    SCALED,
    STATE_ROWS,
    carry,
    merge,
    new_state,
    raise_bins,
    values,
)

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
WIDTH = 256  # columns at a time if they are long: their sums stay in the L1 cache
FIRST = 8  # numbers of a sum that determine its first bin
NARROW = 32  # columns, that rows of narrower arrays are joined to
KERNELS: list[Callable[..., Any]] = [fold_columns, fold_rows]


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
        repeats = WIDTH // n if rows * n >= 4 * WIDTH else NARROW // n
        joined = new_state(n * repeats)
        add_columns(a, start, n * repeats, rows // repeats, mask, joined)
        merge(joined[None], state)
        start += rows // repeats * repeats * n
        rows %= repeats
    lanes = min(n, max(WIDTH, min(LANES, TILE // 8 // max(1, rows))))
    height = TILE // lanes
    for i in range(0, rows, height):
        for j in range(0, n, lanes):
            part = state[:, j : j + lanes]
            count = min(height, rows - i)
            _add(a, start + i * stride + j, stride, count, mask, None, part)
    carry(state)


def add_rows(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: Array, start: int, stride: int, n: int, mask: int, square: bool, state: Array
) -> None:
    """Add rows of n numbers, up to `MAX_NUMBERS`, to a sum each; as `add_columns`.

    `square` adds squares.
    """
    m = state.shape[1]
    lanes = min(m, LANES, max(1, TILE // max(1, n)))
    for i in range(0, m, lanes):
        part = state[:, i : i + lanes]
        for j in range(0, n, TILE):
            count = min(TILE, n - j)
            _add(a, start + i * stride + j, stride, count, mask, square, part)
    carry(state)


def _add(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: Array,
    start: int,
    stride: int,
    count: int,
    mask: int,
    square: bool | None,
    state: Array,
) -> None:
    """Add `count` numbers to each of up to `LANES` sums: of columns if square is None.

    The first numbers have the right bins most of the time; if one is above, bins are
    raised to those of all and the sums repeated.
    """
    lanes = state.shape[1]
    axis = 0 if square is None else 1
    shape, step = ((count, lanes), (lanes, count))[axis], a.itemsize
    block = as_strided(a[start:], shape, (stride * step, step), writeable=False)
    m, s = np.empty(DIGITS * PLANE), np.empty(5 * PLANE, np.int64)
    magic = m.reshape(DIGITS, PLANE)[:, :lanes]
    sums = s.reshape(5, PLANE)[:, :lanes]
    if state[0].min() < 0:
        first = block[:FIRST] if axis == 0 else block[:, :FIRST].T.copy()
        raise_bins(state, _terms(first, mask, square), 0)
    for _ in range(2):
        top = np.clip(state[0], 0, SCALED)
        sums[:4] = 0
        sums[4] = LIMIT + top * BIN
        fold = (a, start, stride, mask, -bool(square))
        if top.max() == SCALED:
            is_scaled = top == SCALED
            sums[4, is_scaled] = INFINITY - 1
            top[is_scaled] -= 2
            factors = np.where(is_scaled, SCALE, 1.0)
            terms = _terms(block, mask, square)
            terms = terms * (factors if axis == 0 else factors[:, None])
            fold = (terms.reshape(-1), 0, terms.shape[1], -1, 0)
        magic.view(np.int64)[...] = MAGIC[:, None] + top * BIN
        source, begin, distance, bits, squares = fold
        if axis == 0:
            fold_columns(source, begin, distance, count, lanes, bits, m, s)
        else:
            fold_rows(source, begin, distance, count, lanes, bits, squares, m, s)
        if sums[3].min() >= 0:
            break
        raise_bins(state, _terms(block, mask, square), axis)
    state[1 : 1 + DIGITS] += sums[:DIGITS] - count * magic.view(np.int64)


def _terms(x: Array, mask: int, square: bool | None) -> Array:
    """Return x, magnitudes or squares."""
    with np.errstate(all="ignore"):
        return np.square(x) if square else np.abs(x) if mask == MAGNITUDE else x


def compile_kernels(compiling: Callable[[bool], AbstractContextManager[None]]) -> None:
    """Compile the kernels, or load them from the cache, in ``with compiling(cold)``."""
    state, numbers = new_state(1), np.zeros(1)
    with compiling(not all(map(is_cached, KERNELS))):
        add_columns(numbers, 0, 1, 1, -1, state)
        add_rows(numbers, 0, 1, 1, -1, False, state)
