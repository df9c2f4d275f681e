"""Validation of operands: numbers, arrays, local blocks. All functions are local."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.collectives import plain_array
from mpiapps.device.arrays import array_module
from mpiapps.kernels.backends import BACKENDS
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
    """Return `values` as a plain array of numbers in host memory, or raise."""
    if hasattr(values, "to_all"):
        raise TypeError(f"{name} is a distributed matrix; expected an array")
    if is_device_array(values):
        raise TypeError(
            f"{name} is on a device; expected an array in host memory. A matrix of"
            " blocks on devices is made by DistMatrix(comm, layout, block)"
        )
    array = plain_array(
        values if isinstance(values, np.ndarray) else np.asarray(values)
    )
    _check_kind(array, name)
    return np.asarray(array)  # not a subclass such as np.matrix


def results(values: Any, name: str) -> Array:
    """Return what a function of blocks computed; as `numbers`, or on a device."""
    if not is_device_array(values):
        return numbers(values, name)
    array: Array = values
    _check_kind(array, name)
    return array


def _check_kind(array: Array, name: str) -> None:
    if array.dtype.kind not in NUMBERS:
        raise TypeError(f"{name} has dtype {array.dtype}; expected numbers")


def is_device_array(values: Any) -> bool:
    """Return whether `values` is an array of CuPy."""
    return type(values) in BACKENDS


def check_memory(a: Any, b: Any) -> None:
    """Raise `ValueError` if one matrix is on devices, and the other is not."""
    if a.is_on_device != b.is_on_device:
        raise ValueError(
            "one matrix is on devices, the other in host memory; convert one with"
            " to_device or to_host"
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
    # Empty arrays do not share memory, but may be one object that is not writeable.
    if any(array is x or np.may_share_memory(array, x) for x in sources):
        return np.array(array, order="C")
    return array
