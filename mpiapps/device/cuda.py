"""numba's CUDA target: the one import of it, in whichever package numba has it.

numba has one built in, deprecated from 0.61 on; the package ``numba-cuda`` replaces it
under the same name. With ``NUMBA_ENABLE_CUDASIM=1``, which numba reads when it is
imported, kernels run in numba's simulator: Python threads on the CPU.
"""

from __future__ import annotations

import sys
from typing import Any

from mpiapps.base.errors import LaunchError
from mpiapps.kernels import jit as _jit  # noqa: F401 - sets numba up before it loads

REMEDY = (
    f"{sys.executable} -m pip install 'mpiapps[cuda]' on a host with an NVIDIA driver,"
    " or use --device cpu"
)

try:
    from numba import config
    from numba import cuda as _cuda
except ImportError as error:
    raise LaunchError(f"--device cuda needs numba's CUDA target: {REMEDY}") from error

cuda: Any = _cuda


def is_simulated() -> bool:
    """Return whether kernels run in numba's simulator rather than on a device."""
    return bool(config.ENABLE_CUDASIM)


def visible_devices() -> list[Any]:
    """Return numba's objects of the devices that this process sees.

    Raises
    ------
    LaunchError
        If there are none, or the driver cannot be used.
    """
    reason = cuda.cuda_error()
    devices = [] if reason else list(cuda.gpus)
    if not devices:
        reason = " ".join((reason or "CUDA_VISIBLE_DEVICES excludes all").split())
        raise LaunchError(
            f"--device cuda: no CUDA device is visible ({reason}). {REMEDY}"
        )
    return devices


def select(index: int) -> None:
    """Make a device current for the kernels of this thread.

    Raises
    ------
    LaunchError
        If the compiler of CUDA kernels, NVVM, is not installed.
    """
    if not cuda.is_available():
        raise LaunchError(
            "--device cuda: the driver works, but NVVM, which compiles kernels, is not"
            f" installed. {REMEDY}"
        )
    cuda.select_device(index)


# Threads of a block. Those of the simulator are Python's, and slow to start.
THREADS = 8 if is_simulated() else 256
BLOCKS_PER_MULTIPROCESSOR = 8  # of 256 threads: as many as run at once


def blocks_for(threads: int) -> int:
    """Return the blocks of a grid-stride kernel that has work for `threads` threads.

    At most as many as run at once on the current device, so that none waits.
    """
    most = 2
    if not is_simulated():
        count = cuda.get_current_device().MULTIPROCESSOR_COUNT
        most = BLOCKS_PER_MULTIPROCESSOR * int(count)
    return max(1, min(most, -(-threads // THREADS)))
