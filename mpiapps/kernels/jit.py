"""The jit decorators: no GIL, compiled code cached in `cache.cache_directory`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import codegen

from mpiapps.kernels.imports import without

# With the first kernel numba loads its NumPy functions, and imports scipy.linalg to see
# whether np.dot can use BLAS: 0.2 s of CPU time and some 100 modules for each rank.
# SciPy is installed with this package; numba imports it when it compiles such a call.
with without("scipy.linalg.cython_blas"):
    from numba.np import arraymath
arraymath._HAVE_BLAS = True

# LLVM uses half of the width of AVX-512 on Intel's CPUs, since the first ones lowered
# their clock. With all of it pi takes half of the time, sums and counts of ASCII 0.8 of
# it. This holds for all kernels of the process, also those of its user. numba's cache
# holds code by these features, so each kind of host has its own.
_config, _codegen = cast(Any, numba.config), cast(Any, codegen)
_features = _config.CPU_FEATURES or _codegen.get_host_cpu_features()
if _config.CPU_FEATURES is None and "+avx512f" in _features:
    _config.CPU_FEATURES = f"{_features},-prefer-256-bit"

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
