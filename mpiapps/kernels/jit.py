"""The jit decorators: no GIL, compiled code cached in `cache.cache_directory`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from mpiapps.kernels.imports import without

# With the first kernel numba loads its NumPy functions, and imports scipy.linalg to see
# whether np.dot can use BLAS: 0.2 s of CPU time and some 100 modules for each rank.
# SciPy is installed with this package; numba imports it when it compiles such a call.
with without("scipy.linalg.cython_blas"):
    from numba.np import arraymath
arraymath._HAVE_BLAS = True

F = TypeVar("F", bound=Callable[..., Any])


def kernel_with(**options: Any) -> Callable[[F], F]:
    """Return a decorator as `kernel`, with options of `numba.njit`."""

    def decorate(function: F) -> F:
        return cast(F, numba.njit(nogil=True, cache=True, **options)(function))

    return decorate


def kernel(function: F) -> F:
    """Compile `function` at its first call, without the GIL, and cache the code."""
    return kernel_with()(function)


def is_cached(compiled: Callable[..., Any]) -> bool:
    """Return whether the cache holds code of this kernel."""
    directory = Path(cast(Any, compiled).stats.cache_path)
    return any(directory.glob(f"*.{compiled.__name__}-*.nbi"))


def inline(function: F) -> F:
    """Compile `function` into the kernels that call it."""
    return cast(F, numba.njit(inline="always")(function))
