"""Validation of operands: numbers, arrays, local blocks. All functions are local."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.collectives import plain_array
from mpiapps.device.arrays import array_module
from mpiapps.linalg.dtypes import check_dtype

NUMBERS = "fciub"  # dtype kinds of numbers and bool


def number(value: Any, name: str) -> complex:
    """Return `value` as a Python number, which does not promote dtypes, or raise."""
    if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0:
        value = value.item()
    if not isinstance(value, int | float | complex):
        raise TypeError(
            f"{name} {value!r} is a {type(value).__name__}; expected a number, such as"
            " 2.5 or 1j"
        )
    return value


def sides(shape: Any) -> tuple[int, int]:
    """Return `shape` as two Python integers, or raise."""
    m_n = tuple(map(index, shape))
    if len(m_n) != 2 or min(m_n) < 0:
        raise ValueError(f"shape {shape}: expected two sizes, 0 or more each")
    return m_n[0], m_n[1]


def numbers(values: Any, name: str) -> Array:
    """Return `values` as a plain array of numbers, or raise; on a device if it is."""
    if hasattr(values, "to_all"):
        raise TypeError(f"{name} is a distributed matrix; expected an array")
    is_device = is_device_array(values)
    array: Array = values
    if not is_device:
        array = plain_array(
            values if isinstance(values, np.ndarray) else np.asarray(values)
        )
    if array.dtype.kind not in NUMBERS:
        raise TypeError(f"{name} has dtype {array.dtype}; expected numbers")
    # Not a subclass such as np.matrix.
    return array if is_device else np.asarray(array)


def is_device_array(values: Any) -> bool:
    """Return whether `values` is an array on a device."""
    return not isinstance(values, np.ndarray) and hasattr(
        type(values), "__cuda_array_interface__"
    )


def block(local: Any, shape: tuple[int, int]) -> Array:
    """Return a local block of `shape`, C-contiguous and aligned, or raise.

    Other arrays, such as transposed, reversed or broadcast views, are copied. A block
    on a device stays there.
    """
    is_device = is_device_array(local)
    array: Array = local if is_device else np.asarray(plain_array(local))
    if array.shape != shape:
        raise ValueError(
            f"the local block has shape {array.shape}; the layout requires {shape} on"
            " this rank"
        )
    check_dtype(array.dtype)
    if is_device:
        contiguous: Array = array_module(array).ascontiguousarray(array)
        return contiguous
    return np.require(array, requirements=["C", "A"])


def own(array: Array, *sources: Any) -> Array:
    """Return `array`, copied if it may share memory with one of `sources`.

    If it is on a device, other sources than device arrays are ignored.
    """
    if is_device_array(array):
        module = array_module(array)
        arrays = [source for source in sources if is_device_array(source)]
        shared = any(module.may_share_memory(array, source) for source in arrays)
        copy: Array = module.array(array, order="C") if shared else array
        return copy
    if any(np.may_share_memory(array, source) for source in sources):
        return np.array(array, order="C")
    return array
