"""Sums of rows into the states of `mpiapps.kernels.sum_states`; one process."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpiapps.kernels.bits import as_float64, as_int64, prefetch
from mpiapps.kernels.jit import kernel
from mpiapps.kernels.sum_states import (
    BIN,
    INFINITY,
    MAGIC,
    MAGNITUDE,
    SCALE,
    SCALED,
    SPECIAL,
    bin_of,
    carry,
    flag_of,
    limit_of,
    shift,
    term,
)

PIECE = 4096  # numbers of a row at a time
FIRST_NUMBERS = 8  # that determine the first bin of a row
RUN, AHEAD = 64, 512  # numbers of a row: between prefetches, and to the prefetched


@kernel
def _raise_bin(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray,
    start: int,
    count: int,
    state: np.ndarray,
    j: int,
    mask: int,
    square: bool,
) -> None:
    """Raise the bin of one sum to that of numbers, and set its flags."""
    largest = np.int64(0)
    for i in range(start, start + count):
        largest = max(largest, as_int64(term(a[i], mask, square)) & MAGNITUDE)
    if largest < INFINITY:
        if state[0, j] < bin_of(largest):
            shift(state, j, bin_of(largest))
        return
    flags = max(state[0, j], SPECIAL)
    for i in range(start, start + count):
        flags |= flag_of(term(a[i], mask, square))
    state[0, j] = flags


@kernel
def _fold_run(  # noqa: PLR0913, PLR0917 - constants of a loop
    a: np.ndarray,
    mask: int,
    square: bool,
    m0: float,
    m1: float,
    m2: float,
    limit: int,
) -> tuple[Any, Any, Any, Any]:
    """Return sums of ``digit + magic`` bits, and if one is above, a negative number."""
    s0 = s1 = s2 = above = np.int64(0)
    for j in range(len(a)):
        x = term(a[j], mask, square)
        above |= limit - (as_int64(x) & MAGNITUDE)
        y = x + m0
        s0 += as_int64(y)
        x -= y - m0
        y = x + m1
        s1 += as_int64(y)
        x -= y - m1
        s2 += as_int64(x + m2)
    return s0, s1, s2, above


@kernel
def add_rows(  # noqa: PLR0913, PLR0917 - a part of an array without a copy
    a: np.ndarray,
    start: int,
    stride: int,
    n: int,
    mask: int,
    square: bool,
    state: np.ndarray,
) -> None:
    """Add rows of n numbers, up to `MAX_NUMBERS`, to a sum each; as `add_columns`.

    `square` adds squares.
    """
    buffer = np.empty(PIECE)
    for j in range(state.shape[1]):
        row = start + j * stride
        for begin in range(row, row + n, PIECE):
            count = min(PIECE, row + n - begin)
            # The first numbers have the right bin most of the time.
            seen = min(count, FIRST_NUMBERS) if state[0, j] < 0 else 0
            while True:
                if seen:
                    _raise_bin(a, begin, seen, state, j, mask, square)
                top = max(np.int64(0), min(state[0, j], SCALED))
                limit = limit_of(top)
                source, first, is_square = a, begin, square
                if top == SCALED:
                    top -= 2
                    for i in range(count):
                        buffer[i] = term(a[begin + i], mask, square) * SCALE
                    source, first, is_square = buffer, 0, False
                m0 = as_float64(MAGIC[0] + top * BIN)
                m1 = as_float64(MAGIC[1] + top * BIN)
                m2 = as_float64(MAGIC[2] + top * BIN)
                s0 = s1 = s2 = above = np.int64(0)
                for p in range(first, first + count, RUN):
                    for k in range(0, RUN, 8):
                        prefetch(source, p + k + AHEAD)
                    run = source[p : min(p + RUN, first + count)]
                    sums = _fold_run(run, mask, is_square, m0, m1, m2, limit)
                    s0 += sums[0]
                    s1 += sums[1]
                    s2 += sums[2]
                    above |= sums[3]
                if seen == count or above >= 0:
                    break
                seen = count
            state[1, j] += s0 - count * as_int64(m0)
            state[2, j] += s1 - count * as_int64(m1)
            state[3, j] += s2 - count * as_int64(m2)
    carry(state)
