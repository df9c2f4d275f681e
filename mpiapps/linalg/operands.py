"""What users pass to the operations: numbers, arrays, local blocks. Local."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from mpiapps.comm.cut import Array
from mpiapps.comm.move import plain_array
from mpiapps.linalg.dtypes import checked

NUMBERS = "fciub"  # the kinds of dtypes that are numbers, and truth values


def number(value: Any, name: str) -> complex:
    """Return `value` as a number of Python, which widens no dtype, or raise."""
    if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0:
        value = value.item()
    if not isinstance(value, int | float | complex):
        raise TypeError(
            f"{name} {value!r} is a {type(value).__name__}; expected a number, such as"
            " 2.5 or 1j"
        )
    return value


def sides(shape: Any) -> tuple[int, int]:
    """Return `shape` as two integers of Python, or raise."""
    found = tuple(map(index, shape))
    if len(found) != 2 or min(found) < 0:
        raise ValueError(f"shape {shape}: a matrix has two sides, 0 or more each")
    return found[0], found[1]


def numbers(values: Any, name: str) -> Array:
    """Return `values` as a plain array of numbers, or raise."""
    if hasattr(values, "to_all"):
        raise TypeError(f"{name} is a distributed matrix; expected an array")
    array = plain_array(
        values if isinstance(values, np.ndarray) else np.asarray(values)
    )
    if array.dtype.kind not in NUMBERS:
        raise TypeError(f"{name} is of dtype {array.dtype}; expected numbers")
    return np.asarray(array)  # of no other class, such as np.matrix


def block(local: Any, shape: tuple[int, int]) -> Array:
    """Return a local block of `shape` as BLAS and MPI read it, or raise.

    It is copied if its rows and columns do not lie one after the other, as in a view
    that is transposed, reversed or broadcast.
    """
    array = np.asarray(plain_array(local))
    if array.shape != shape:
        raise ValueError(
            f"this rank keeps {shape[0]} x {shape[1]} elements of this layout, and was"
            f" given {array.shape}"
        )
    checked(array.dtype)
    return np.require(array, requirements=["C", "A"])


def own(array: Array, *sources: Any) -> Array:
    """Return `array`, copied if it may share memory with one of `sources`. Local."""
    if any(np.may_share_memory(array, each) for each in sources):
        return np.array(array, order="C")
    return array
