"""Probes of CUDA devices, and of messages from and to them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mpiapps.base.units import format_size
from mpiapps.device import awareness
from mpiapps.device.driver import (
    NO_DEVICE,
    VISIBLE,
    Driver,
    query,
    query_all,
    version_text,
)
from mpiapps.diagnostics.probe import (
    ERROR,
    LIKELY,
    WARNING,
    Finding,
    NotApplicable,
    probe,
)
from mpiapps.diagnostics.probes.cuda_packages import cupy_packages
from mpiapps.diagnostics.system import System

DEVICES = "cuda-devices"
LIMIT = 42.0  # s; two queries of the driver, or one and a trial
TRIAL_LIMIT = 15.0  # s
HIDING = ("", "-1", "NoDevFiles")  # values by which no device is visible
MPS_PIPES = "/tmp/nvidia-mps"  # unless CUDA_MPS_PIPE_DIRECTORY is set


def _device_files(system: System) -> list[Path]:
    """Return the device files of GPUs; that of WSL 2 is ``/dev/dxg``."""
    return [*system.path("/dev").glob("nvidia[0-9]*"), *system.path("/dev").glob("dxg")]


def _kernel_gpus(system: System) -> int:
    """Return the number of GPUs that the kernel's driver has, also in a container."""
    return len(list(system.path("/proc/driver/nvidia/gpus").glob("*")))


@probe(
    DEVICES,
    examines="CUDA devices, their driver, CUDA_VISIBLE_DEVICES and compute mode",
    symptom="`cudaErrorNoDevice`, `cudaErrorDevicesUnavailable`",
    limit=LIMIT,
)
def cuda_devices(system: System) -> Iterator[Finding | str]:
    """Find devices that programs cannot use; state those that they can."""
    driver = query_all(system.environ)
    if not driver.devices:
        found = list(_missing(system, driver))
        if not found:
            raise NotApplicable(f"no CUDA device: {driver.error}")
        yield from found
        return
    visible = query(system.environ) if VISIBLE in system.environ else driver
    yield from _facts(system, visible)
    yield from _hidden(system, driver, visible)
    yield from _exclusive(system, visible)


def _facts(system: System, driver: Driver) -> Iterator[str]:
    kernel = re.search(
        r"Kernel Module.*?\s(\d+\.[\d.]+)", system.read("/proc/driver/nvidia/version")
    )
    module = f"{kernel[1]}, " if kernel else ""
    names = Counter(
        f"{device.name} ({format_size(device.memory)}, compute capability"
        f" {device.capability})"
        for device in driver.devices
    )
    yield from (f"{count} x {name}" for name, count in names.items())
    yield f"driver {module}for CUDA up to {version_text(driver.version)}"


def _missing(system: System, driver: Driver) -> Iterator[Finding]:
    """Find what hides the GPUs of a host, or its driver library."""
    files, gpus = _device_files(system), _kernel_gpus(system)
    if not files and (gpus or (driver.is_loaded and system.is_container())):
        seen = f"the kernel has {gpus} GPU(s)" if gpus else "libcuda.so.1 is installed"
        yield Finding(
            ERROR,
            f"{seen}, and /dev has no nvidia0",
            "Programs find no CUDA device.",
            "in a container: apptainer exec --nv, or docker run --gpus all (with"
            " NVIDIA's container toolkit); on the host itself: nvidia-modprobe -u -c 0",
            LIKELY,
        )
    elif files and not driver.is_loaded:
        yield Finding(
            ERROR,
            f"{files[0]} exists, and {driver.error}",
            "Programs find no CUDA device.",
            "in a container: apptainer exec --nv, or docker run --gpus all; else add"
            " the directory of the driver's libcuda.so.1 to LD_LIBRARY_PATH",
            LIKELY,
        )
    elif files and driver.code != NO_DEVICE:
        yield Finding(
            ERROR,
            f"libcuda.so.1: {driver.error}",
            "The driver does not start: its library and the kernel's module may have"
            " different versions.",
            "compare `nvidia-smi` and /proc/driver/nvidia/version; after an update of"
            " the driver, the host needs a restart",
            LIKELY,
        )


def _hidden(system: System, driver: Driver, visible: Driver) -> Iterator[Finding]:
    """Find devices that ``CUDA_VISIBLE_DEVICES`` hides or does not have."""
    value = system.environ.get(VISIBLE)
    if value is None:
        return
    named, count = [name for name in value.split(",") if name], len(driver.devices)
    if value in HIDING:
        yield Finding(
            WARNING,
            f"{VISIBLE}{f'={value}' if value else ' is empty'}, and the host has"
            f" {count} device(s)",
            "Programs find no CUDA device.",
            f"unset {VISIBLE}; in a job, request devices: --gpus 1",
        )
    # Of several instances of a divided GPU (MIG), a process uses the first.
    elif len(visible.devices) < len(named) and not value.startswith("MIG-"):
        yield Finding(
            ERROR,
            f"{VISIBLE}={value}: {len(visible.devices)} of {len(named)} exist; the"
            f" host has {count} device(s)",
            "CUDA ignores the first name that does not exist, and all names behind it.",
            f"export {VISIBLE}={','.join(map(str, range(count)))}, or unset it; in a"
            " job, request devices: --gpus 1",
        )


def _exclusive(system: System, visible: Driver) -> Iterator[Finding]:
    """Find devices of one process for more ranks than devices."""
    exclusive = sum(device.is_exclusive for device in visible.devices)
    ranks = system.ranks_per_host()
    pipes = system.environ.get("CUDA_MPS_PIPE_DIRECTORY", MPS_PIPES)
    if not exclusive or ranks <= len(visible.devices) or system.path(pipes).exists():
        return
    yield Finding(
        ERROR,
        f"{exclusive} device(s) in exclusive-process mode for {ranks} ranks",
        "The second rank of a device fails: cudaErrorDevicesUnavailable.",
        "share them by MPS (--gpu-mps), or use at most"
        f" {len(visible.devices)} rank(s) per host",
        LIKELY,
    )


@probe(
    "cuda-mpi",
    examines="a message of a CuPy array to itself, in a process of its own",
    symptom="segmentation fault in the first message of a device buffer",
    limit=LIMIT,
)
def cuda_mpi(system: System) -> Iterator[Finding | str]:
    """State whether the MPI takes buffers on devices; it need not."""
    driver = query(system.environ)
    if not driver.devices:
        raise NotApplicable(f"no CUDA device: {driver.error}")
    if not cupy_packages(system):
        raise NotApplicable("CuPy is not installed")
    trial, library = awareness.try_messages(system.environ, TRIAL_LIMIT), system.library
    if not trial.reason:
        yield f"{library} takes device buffers"
    elif trial.was_sent:
        yield (
            f"{library} takes no device buffers ({trial.reason}): messages are copied"
            " through the host"
        )
    else:
        yield f"{library}: device buffers were not tried: {trial.reason}"
