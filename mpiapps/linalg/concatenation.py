"""Concatenation of matrices and arrays, as in NumPy. All functions are collective.

The result has the grid of the first matrix, or the default layout if that is better
balanced, as a submatrix (`Indexing.__getitem__`). Each element of a matrix that changes
ranks is sent once, in at most one message per matrix, pair of ranks and GiB; arrays,
which are the same on all ranks, send nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from mpiapps.comm.consistency import raise_together
from mpiapps.linalg import operands
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import check_dtype
from mpiapps.linalg.indexing import resized_layout

Parts = Sequence[Any]  # matrices and arrays


def assemble(
    grid: Sequence[Parts], dtype: Any = None, call: str = "concatenate"
) -> DistMatrix:
    """Return the matrix of a grid of blocks: rows of matrices and 2-D arrays.

    Raises
    ------
    ValueError
        On all ranks, if the heights of a row, or the widths of the rows, differ.
    """
    parts = [part for row in grid for part in row]
    first = next((part for part in parts if isinstance(part, DistMatrix)), None)
    if first is None:
        raise TypeError(
            "the blocks are nested too deeply; expected a list of blocks, or a list of"
            " rows, which are lists of blocks"
        )
    with raise_together(first.comm) as same:
        grid = [[_checked(part, first) for part in row] for row in grid]
        same(call, dtype, *(part for row in grid for part in row))
        heights = [_common("rows", [part.shape[0] for part in row]) for row in grid]
        n = _common("columns", [sum(part.shape[1] for part in row) for row in grid])
        common = np.result_type(*(part.dtype for row in grid for part in row))
        dtype = check_dtype(common if dtype is None else dtype)
    layout = resized_layout(first.layout, (sum(heights), n), first.comm.size)
    result = DistMatrix.zeros(first.comm, layout.shape, dtype, layout)
    bottoms = accumulate(heights)
    for row, height, bottom in zip(grid, heights, bottoms, strict=True):
        rights = accumulate(part.shape[1] for part in row)
        for part, right in zip(row, rights, strict=True):
            left = right - part.shape[1]
            result[bottom - height : bottom, left:right] = part
    return result


def _checked(part: Any, first: DistMatrix) -> Any:
    """Return a matrix on the communicator of the first one, or a 2-D array."""
    if isinstance(part, DistMatrix):
        first.check_comm(part)
        return part
    array = operands.numbers(part, "array")
    if array.ndim != 2:
        raise ValueError(
            "all the input array dimensions must match: expected 2 dimensions, but an"
            f" array has {array.ndim}; for a column use x[:, None]"
        )
    return array


def _common(name: str, numbers: list[int]) -> int:
    if len(set(numbers)) != 1:
        raise ValueError(
            f"the blocks have {numbers} {name}: all the input array dimensions except"
            " for the concatenation axis must match exactly"
        )
    return numbers[0]


def concatenate(
    arrays: Parts, axis: int | None = 0, *, dtype: Any = None
) -> DistMatrix:
    """Return matrices and 2-D arrays side by side, or below each other."""
    if axis is None:
        raise TypeError("axis=None would flatten distributed matrices; expected 0 or 1")
    if normalize_axis_index(axis, 2):
        return assemble([arrays], dtype, "concatenate columns")
    return assemble([[part] for part in arrays], dtype, "concatenate rows")


def vstack(tup: Parts, *, dtype: Any = None) -> DistMatrix:
    """Return matrices and arrays below each other; a 1-D array is a row."""
    return assemble([[_row(part)] for part in tup], dtype)


def column_stack(tup: Parts) -> DistMatrix:
    """Return matrices and arrays side by side; a 1-D array is a column."""
    return assemble([[_row(part).T if np.ndim(part) == 1 else part for part in tup]])


def block(arrays: Any) -> DistMatrix:
    """Return the matrix of a list of blocks, or of a list of rows of blocks."""
    if isinstance(arrays, DistMatrix):
        return arrays.copy()
    rows = arrays if isinstance(arrays[0], list) else [arrays]
    return assemble([[_row(part) for part in row] for row in rows])


def _row(part: Any) -> Any:
    return part if isinstance(part, DistMatrix) else np.atleast_2d(part)


CONCATENATIONS: Mapping[Callable[..., Any], Callable[..., Any]] = {
    np.block: block,
    np.column_stack: column_stack,
    np.concatenate: concatenate,
    np.hstack: lambda tup, *, dtype=None: assemble([tup], dtype),
    np.vstack: vstack,
}
