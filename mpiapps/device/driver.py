"""What the CUDA driver library reports: its version and the visible devices.

`query` runs this file as a script in a child process: the driver may crash or take
seconds to start, and a process that has started it must not fork. It therefore imports
the standard library alone, and needs neither CuPy nor a toolkit.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

LIBRARY = "libcuda.so.1"
VISIBLE = "CUDA_VISIBLE_DEVICES"
LIMIT = 20.0  # s; without persistence mode the driver starts each device
NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
# CUdevice_attribute and CUcomputemode of cuda.h
COMPUTE_MODE, CAPABILITY_MAJOR, CAPABILITY_MINOR = 20, 75, 76
EXCLUSIVE_PROCESS = 3


@dataclass(frozen=True)
class DeviceProperties:
    """A device as the driver describes it.

    Attributes
    ----------
    name : str
        Model, such as ``NVIDIA H100 80GB HBM3``.
    memory : int
        Bytes.
    capability : str
        Compute capability, such as ``9.0``.
    uuid : str
        32 hexadecimal digits.
    is_exclusive : bool
        Whether it admits one process only (compute mode EXCLUSIVE_PROCESS).
    """

    name: str
    memory: int
    capability: str
    uuid: str
    is_exclusive: bool


@dataclass(frozen=True)
class Driver:
    """The driver library and its devices.

    Attributes
    ----------
    is_loaded : bool
        Whether ``libcuda.so.1`` can be loaded.
    version : tuple of int
        The newest version of CUDA that it supports, such as ``(12, 4)``.
    devices : tuple of DeviceProperties
        Those that ``CUDA_VISIBLE_DEVICES`` and the control group admit, in order.
    error : str
        Why there are none.
    code : int
        The driver's error code, or 0.
    """

    is_loaded: bool = False
    version: tuple[int, ...] = ()
    devices: tuple[DeviceProperties, ...] = ()
    error: str = ""
    code: int = 0

    @property
    def has_answered(self) -> bool:
        """Whether the devices are known: those it has, or that there are none."""
        return not self.is_loaded or not self.error or self.code == NO_DEVICE


def query(environ: Mapping[str, str], limit: float = LIMIT) -> Driver:
    """Return what the driver reports to a process with `environ`. Local.

    Cost: a child process, 0.1 s and the start of the driver.
    """
    # Not at the top: the child runs this file without the package.
    from mpiapps.base.python_child import run_python

    try:
        done = run_python(["-I", "-S", __file__], environ, limit)
        values = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return Driver(True, error=f"no answer of {LIBRARY} within {limit:g} s")
    except ValueError:
        return Driver(True, error=f"{LIBRARY} has ended its process: {done.returncode}")
    devices = tuple(DeviceProperties(**row) for row in values.pop("devices"))
    return Driver(**{**values, "version": tuple(values["version"])}, devices=devices)


def query_all(environ: Mapping[str, str]) -> Driver:
    """Return what `query` does without ``CUDA_VISIBLE_DEVICES``. Local."""
    return query({name: text for name, text in environ.items() if name != VISIBLE})


def version_text(numbers: tuple[int, ...]) -> str:
    """Return a version such as ``12.4``."""
    return ".".join(map(str, numbers))


class _Failed(Exception):
    """A call of the driver has failed; the argument is its error code."""


def _read() -> Driver:
    """Return what the driver reports to this process."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        return Driver(error=str(error))
    version = ctypes.c_int()
    try:
        _call(library.cuDriverGetVersion, ctypes.byref(version))
        numbers = version.value // 1000, version.value % 1000 // 10
    except _Failed:
        numbers = 0, 0
    try:
        _call(library.cuInit, 0)
        count = ctypes.c_int()
        _call(library.cuDeviceGetCount, ctypes.byref(count))
        devices = tuple(_device(library, n) for n in range(count.value))
    except _Failed as failed:
        code = int(failed.args[0])
        return Driver(True, numbers, error=_message(library, code), code=code)
    return Driver(True, numbers, devices)


def _call(function: Any, *arguments: Any) -> None:
    if code := function(*arguments):
        raise _Failed(code)


def _message(library: ctypes.CDLL, code: int) -> str:
    text = ctypes.c_char_p()
    library.cuGetErrorString(code, ctypes.byref(text))
    return f"CUDA error {code}: {(text.value or b'unknown').decode()}"


def _device(library: ctypes.CDLL, number: int) -> DeviceProperties:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    memory, uuid = ctypes.c_size_t(), ctypes.create_string_buffer(16)
    _call(library.cuDeviceGet, ctypes.byref(device), number)
    _call(library.cuDeviceGetName, name, len(name), device)
    _call(library.cuDeviceTotalMem_v2, ctypes.byref(memory), device)
    # Instances of one device (MIG) have one UUID by the old function.
    own = getattr(library, "cuDeviceGetUuid_v2", library.cuDeviceGetUuid)
    _call(own, uuid, device)

    def attribute(key: int) -> int:
        value = ctypes.c_int()
        _call(library.cuDeviceGetAttribute, ctypes.byref(value), key, device)
        return value.value

    return DeviceProperties(
        name=name.value.decode(errors="replace"),
        memory=memory.value,
        capability=f"{attribute(CAPABILITY_MAJOR)}.{attribute(CAPABILITY_MINOR)}",
        uuid=uuid.raw.hex(),
        is_exclusive=attribute(COMPUTE_MODE) == EXCLUSIVE_PROCESS,
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_read())))
