"""numba's CUDA target: the one import of it, in whichever package numba has it.

numba has one built in, deprecated from 0.61 on; the package ``numba-cuda`` replaces it
under the same name. With ``NUMBA_ENABLE_CUDASIM=1``, which numba reads when it is
imported, kernels run in numba's simulator: Python threads on the CPU.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mpiapps.base.errors import LaunchError
from mpiapps.kernels import jit as _jit  # noqa: F401 - sets numba up before it loads

REMEDY = (
    "use --device cpu, or run on a host with an NVIDIA GPU and its driver, with"
    f" {sys.executable} -m pip install 'mpiapps[cuda]'"
)

try:
    from numba import cuda as _cuda
except ImportError as error:
    raise LaunchError(f"--device cuda: numba has no CUDA target; {REMEDY}") from error

cuda: Any = _cuda
# A small part of the work has few blocks; numba would warn of that.
cuda.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0


def kernel(function: Callable[..., Any]) -> Any:
    """Return a function as a kernel, compiled at its first call."""
    return cuda.jit(function)


def device_function(function: Callable[..., Any]) -> Any:
    """Return a function that kernels call."""
    return cuda.jit(device=True)(function)


def is_simulated() -> bool:
    """Return whether kernels run in numba's simulator rather than on a device."""
    return bool(cuda.config.ENABLE_CUDASIM)


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
        first = " ".join((reason or "CUDA_VISIBLE_DEVICES excludes all").split())
        reason = first.partition(". ")[0]
        raise LaunchError(
            f"--device cuda: no CUDA device is visible ({reason}); {REMEDY}"
        )
    return devices


@kernel
def _do_nothing() -> None:
    """Show that kernels compile and start."""


def select(index: int) -> None:
    """Make a device current for the kernels of this thread, and start one.

    Raises
    ------
    LaunchError
        If that fails: the compiler of kernels, NVVM, is not installed; the driver is
        older than the code that it compiles; the device admits one process alone.
    """
    if not cuda.is_available():
        raise LaunchError(
            "--device cuda: a device is visible, but NVVM, which compiles kernels, is"
            f" not installed; {REMEDY}"
        )
    try:
        cuda.select_device(index)
        _do_nothing[1, 1]()
        cuda.synchronize()
    except Exception as error:  # each part of numba, and the driver, has its own
        raise LaunchError(
            f"--device cuda: no kernel starts on device {index} ({_summary(error)}). Is"
            " the driver as new as the installed toolkit (nvidia-smi prints the newest"
            " CUDA that it runs), and the compute mode of the device not exclusive?"
            f" Else {REMEDY}"
        ) from error


@contextmanager
def device_errors() -> Iterator[None]:
    """Convert exceptions of calls of the device in the block to `LaunchError`.

    After most errors of a kernel or of a copy, each later call of the process fails
    with the same one: it is not the fault of the data, and the run must end.
    """
    try:
        yield
    except Exception as error:  # each part of numba, and the driver, has its own
        raise LaunchError(
            f"--device cuda: a call of the device has failed ({_summary(error)}); see"
            " `mpiapps doctor`, and the kernel's log for messages of NVRM; a recorded"
            " run goes on with --device cpu"
        ) from error


def _summary(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


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
