"""The CUDA device of a rank: its rank on the host, modulo the visible devices.

Jobs ask for devices per host and do not isolate them from each other, so all ranks of a
host see the same devices in the same order. numba is imported only when a device is
chosen.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

DEVICES = ("cpu", "cuda")  # choices of --device
SIMULATOR = "numba's CUDA simulator, not a GPU"


@dataclass(frozen=True)
class Device:
    """A CUDA device of this process.

    Attributes
    ----------
    index : int
        Number of the device among the visible ones.
    visible : int
        Number of devices that this process sees.
    name, uuid : str
        Model, such as ``NVIDIA H100 80GB HBM3``, and identity of the device.
    ranks : int
        Number of ranks of this host that use the device.
    most_ranks : int
        The greatest such number on any host of the run, if it is known.
    """

    index: int
    visible: int
    name: str
    uuid: str
    ranks: int = 1
    most_ranks: int = 1

    @property
    def notes(self) -> list[str]:
        """Lines for the report: whether ranks share a device, on any host."""
        ranks = max(self.ranks, self.most_ranks)
        if ranks == 1:
            return []
        return [f"{ranks} ranks share a device; start one rank per device, or MPS"]

    def select(self) -> None:
        """Make this the current device for numba's kernels.

        Raises
        ------
        LaunchError
            If the compiler of kernels is not installed.
        """
        _cuda().select(self.index)


def choose_device(local_rank: int, local_size: int) -> Device:
    """Return the device of a rank: `local_rank` modulo the visible devices. Local.

    `local_size` is the number of ranks on this host. If there are more than devices,
    ranks share them. Nothing is allocated on the device.

    Raises
    ------
    LaunchError
        Exit code 78: no device is visible, or numba's CUDA target is not installed.
    """
    devices = _cuda().visible_devices()
    index = local_rank % len(devices)
    ranks = len(range(index, local_size, len(devices)))
    device = devices[index]
    return Device(
        index, len(devices), _text(device, "name"), _text(device, "uuid"), ranks
    )


def _cuda() -> Any:
    """Return `mpiapps.device.cuda`, which imports numba."""
    return importlib.import_module("mpiapps.device.cuda")


def _text(device: Any, attribute: str) -> str:
    """Return an attribute of a device, which is bytes in some versions of numba."""
    value = getattr(device, attribute, SIMULATOR)
    return value.decode() if isinstance(value, bytes) else str(value)
