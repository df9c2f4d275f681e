"""Layouts and matrices for the tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mpiapps.linalg.axis import Axis
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout

DTYPES = ["f4", "f8", "c8", "c16"]


def layouts(shape: tuple[int, int], size: int) -> list[Layout]:
    """Return layouts of every kind that `size` ranks can have."""
    (m, n), last = shape, size - 1
    return [
        Layout.cyclic(shape, size, 3),
        Layout.blocks(shape, (size, 1)),
        Layout.blocks(shape, (1, size)),
        Layout(Axis(m, 2, 1), Axis(n, 2, size)),
        Layout(Axis(m, max(m, 1), 1), Axis(n, max(n, 1), 1), (last,)),
        replace(Layout.cyclic(shape, size, 2), ranks=tuple(range(size))[::-1]),
    ]


def whole(shape: tuple[int, int], dtype: str = "f8", seed: int = 0) -> np.ndarray:
    """Return a matrix that every rank can make by itself."""
    rng = np.random.default_rng([seed, *shape])
    found = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        found = found + 1j * rng.standard_normal(shape)
    return found.astype(dtype)


def spread(comm, array: np.ndarray, layout: Layout | None = None) -> DistMatrix:
    """Return a matrix that all ranks know, distributed."""
    layout = layout or Layout.cyclic(array.shape, comm.size, 3)
    made = DistMatrix.zeros(comm, array.shape, array.dtype, layout)
    made.local[...] = array[np.ix_(made.row_indices, made.col_indices)]
    return made


def close(found: DistMatrix, expected: np.ndarray, factor: float = 50) -> None:
    """Assert that a distributed matrix is what NumPy found, to rounding."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    mine = expected[np.ix_(found.row_indices, found.col_indices)]
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    error = float(np.abs(found.local - mine).max(initial=0))
    assert error <= factor * np.finfo(expected.dtype).eps * scale, error
