"""The elements that an index expression selects, as in NumPy. All functions are local.

`Block` is a submatrix, `Points` are single elements, a row, a column or a diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array

Indices = range | Array  # of one axis, int64, from 0 on


@dataclass(frozen=True)
class Block:
    """The elements ``(rows[k], cols[l])``: a matrix."""

    rows: Indices
    cols: Indices

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return len(self.rows), len(self.cols)


@dataclass(frozen=True)
class Points:
    """The elements ``(rows[k], cols[k])``: a vector, or a number if 0-D."""

    rows: Array
    cols: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result: 0-D or 1-D."""
        return self.rows.shape


def select(key: Any, shape: tuple[int, int]) -> Block | Points:
    """Return the elements of a matrix of `shape` that NumPy selects by `key`.

    Raises
    ------
    IndexError
        If an index is out of range, is not an integer, slice or mask, or selects an
        array of more than two dimensions.
    """
    entries = _entries(key)
    rows, cols = (_indices(entries[axis], axis, shape[axis]) for axis in (0, 1))
    arrays = [part for part in (rows, cols) if not isinstance(part, range)]
    if len(arrays) == 2:
        return _both(*arrays)
    if not arrays or arrays[0].ndim == 1:
        return Block(rows, cols)
    if arrays[0].ndim > 1:
        raise _too_many_dimensions(arrays)
    return Points(*np.broadcast_arrays(*map(_as_array, (rows, cols))))


def _both(rows: Array, cols: Array) -> Block | Points:
    """Return the elements of two index arrays, which are broadcast."""
    if (rows.ndim, cols.ndim) == (2, 2) and rows.shape[1] == cols.shape[0] == 1:
        return Block(rows[:, 0], cols[0])  # of np.ix_
    try:
        pair = np.broadcast_arrays(rows, cols)
    except ValueError as error:
        raise IndexError(
            "shape mismatch: indexing arrays could not be broadcast together with"
            f" shapes {rows.shape} {cols.shape}; np.ix_(rows, cols) selects a submatrix"
        ) from error
    if pair[0].ndim > 1:
        raise _too_many_dimensions([rows, cols])
    return Points(*pair)


def _too_many_dimensions(arrays: list[Array]) -> IndexError:
    shapes = " and ".join(str(array.shape) for array in arrays)
    return IndexError(
        f"index arrays of shape {shapes}: expected one dimension, or arrays of np.ix_;"
        " a distributed matrix has two dimensions"
    )


def _as_array(indices: Indices) -> Array:
    if isinstance(indices, range):
        return np.arange(indices.start, indices.stop, indices.step, dtype=np.int64)
    return indices


def _entries(key: Any) -> list[Any]:
    """Return the entries for rows and columns."""
    entries = list(key) if isinstance(key, tuple) else [key]
    if any(entry is None for entry in entries):
        raise IndexError(
            "np.newaxis: a distributed matrix has two dimensions; use A[:, [j]] for a"
            " column, A[[i]] for a row"
        )
    dots = [k for k, entry in enumerate(entries) if entry is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    missing = [slice(None)] * (2 - len(entries) + len(dots))
    if len(entries) - len(dots) > 2:
        raise IndexError(
            "too many indices for array: array is 2-dimensional, but"
            f" {len(entries) - len(dots)} were indexed"
        )
    at = dots[0] if dots else len(entries)
    return [*entries[:at], *missing, *entries[at + 1 :]]


def _indices(entry: Any, axis: int, n: int) -> Indices:
    """Return the selected indices of one axis of `n`: 0 to n - 1."""
    if isinstance(entry, slice):
        return range(*entry.indices(n))
    if not isinstance(entry, np.ndarray | list | int | np.integer):
        # An object with the method __index__.
        entry = index(entry) if hasattr(entry, "__index__") else entry
    if hasattr(entry, "to_all"):
        raise IndexError(
            "a distributed matrix is not an index; A[mask] = number assigns, and"
            " np.where(mask, A, B) selects"
        )
    array = np.asarray(entry)
    if isinstance(entry, list) and array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind == "b" and array.ndim == 1:
        if array.size != n:
            raise IndexError(
                f"boolean index did not match indexed array along axis {axis}; size of"
                f" axis is {n} but size of corresponding boolean axis is {array.size}"
            )
        return np.flatnonzero(array)
    if array.dtype.kind == "b" and array.ndim == 2:
        raise IndexError(
            "A[mask] has a length that depends on the elements, and is not distributed;"
            " use np.where(mask, A, B), mask.sum(), or A.to_all()[mask]; A[mask] ="
            " number assigns"
        )
    if array.dtype.kind not in "iu":
        raise IndexError(
            f"index {entry!r}: only integers, slices (`:`), ellipsis (`...`) and"
            " integer or boolean arrays are valid indices"
        )
    outside = array[(array < -n) | (array >= n)]
    if outside.size:
        raise IndexError(
            f"index {outside.flat[0]} is out of bounds for axis {axis} with size {n}"
        )
    array = array.astype(np.int64)
    return np.where(array < 0, array + n, array)
