"""Arrays of NumPy and CuPy: the module of a block, and copies to the other memory.

Blocks on a device have the type of NumPy's arrays for the type checker: they have the
same methods, and CuPy need not be installed.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.base.errors import LaunchError
from mpiapps.base.optional import import_optional
from mpiapps.device.cuda_libraries import CudaLibraries
from mpiapps.kernels.backends import BACKENDS

Array = npt.NDArray[Any]


@cache
def cuda_module() -> Any:
    """Return CuPy. Local.

    Raises
    ------
    LaunchError
        If it is not installed, or cannot be imported.
    """
    try:
        module = import_optional("cupy", "cuda", "a matrix on a device")
    except ImportError as error:  # such as a library of CUDA that is missing
        raise LaunchError(
            f"CuPy is installed, but cannot be imported: {error}; reinstall it for the"
            " CUDA version of the driver (docs/gpu.md)"
        ) from error
    BACKENDS[module.ndarray] = CudaLibraries(module)
    return module


def nccl_module() -> Any:
    """Return CuPy's module of NCCL; its `available` tells whether it works. Local."""
    with warnings.catch_warnings():  # without NCCL, it warns on each rank
        warnings.simplefilter("ignore")
        return import_optional("cupy.cuda.nccl", "cuda", "NCCL")


def on_device(block: object) -> bool:
    """Return whether an array is on a device."""
    return not isinstance(block, np.ndarray)


def array_module(block: object) -> Any:
    """Return the module of an array: NumPy or CuPy."""
    return np if isinstance(block, np.ndarray) else cuda_module()


def to_host(block: Array) -> Array:
    """Return an array in host memory; itself if it is there. Local.

    Waits for the current stream.
    """
    if isinstance(block, np.ndarray):
        return block
    host: Array = cuda_module().asnumpy(block)
    return host


def to_device(block: Array) -> Array:
    """Return an array on the current device; itself if it is there. Local."""
    array: Array = block if on_device(block) else cuda_module().asarray(block)
    return array


def like(block: object, array: Array) -> Array:
    """Return a host array where `block` is: itself, or a copy on the device. Local."""
    return array if isinstance(block, np.ndarray) else to_device(array)


def synchronize(block: object) -> None:
    """Wait until the current stream has computed `block`, if it is on a device."""
    if on_device(block):
        cuda_module().cuda.get_current_stream().synchronize()
