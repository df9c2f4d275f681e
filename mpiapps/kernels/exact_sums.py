"""Sums of float64 numbers that do not depend on their order; one process.

The method is explained in `mpiapps.kernels.sum_states`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from mpiapps.kernels.column_sums import add_columns
from mpiapps.kernels.jit import is_cached
from mpiapps.kernels.row_sums import add_rows
from mpiapps.kernels.sum_states import (
    MAGNITUDE,
    MAX_NUMBERS,
    STATE_ROWS,
    merge,
    new_state,
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

KERNELS: list[Callable[..., Any]] = [add_columns, add_rows, merge, values]


def compile_kernels(compiling: Callable[[bool], AbstractContextManager[None]]) -> None:
    """Compile the kernels, or load them from the cache, in ``with compiling(cold)``."""
    state, numbers = new_state(1), np.zeros(1)
    with compiling(not all(map(is_cached, KERNELS))):
        add_columns(numbers, 0, 1, 1, -1, state)
        add_rows(numbers, 0, 1, 1, -1, False, state)
        merge(state[None].copy(), state)
        values(state)
