"""Platforms of many hosts as data: for plans and for the simulator.

One rank per host. The figures are round ones of published networks and processors, not
measurements of a certain cluster; add a row for yours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple


@dataclass(frozen=True)
class Platform:
    """A network of equal hosts, with one rank on each.

    Attributes
    ----------
    topology : {"fat-tree", "dragonfly", "torus"}
    bandwidth : float
        byte/s of a link, in each direction.
    latency : float
        s of a link.
    flops, reading : float
        flop/s of gemm on a rank, and byte/s that it reads from memory.
    """

    name: str
    topology: str
    bandwidth: float
    latency: float
    flops: float
    reading: float

    @property
    def near_latency(self) -> float:
        """Latency of a message to a host of the same switch, in s."""
        return self.latency * PATHS[self.topology].near

    @property
    def far_latency(self) -> float:
        """Latency of a message to other hosts, in s."""
        return self.latency * PATHS[self.topology].far


class Paths(NamedTuple):
    """Links of a message to a host of the same switch, to others; hosts of a switch."""

    near: int
    far: int
    hosts: int


# The sizes of `scripts/simulate/platform_xml.py`. Hosts of a torus are switches; far is
# the way between two ranks with successive numbers.
PATHS = {
    "fat-tree": Paths(2, 4, 32),
    "dragonfly": Paths(2, 6, 4),
    "torus": Paths(1, 3, 1),
}
NETWORKS = {"100": 12.5e9, "400": 50e9}  # Gbit/s: byte/s
CORES = {"slow": (20e9, 8e9), "fast": (100e9, 20e9)}  # flop/s, byte/s read
LINK_LATENCY = 5e-7  # s, of a cable and its switch


def _platforms() -> Iterator[Platform]:
    for topology, network, cores in product(PATHS, NETWORKS, CORES):
        name = f"{topology}-{network}-{cores}"
        yield Platform(name, topology, NETWORKS[network], LINK_LATENCY, *CORES[cores])


PLATFORMS = {platform.name: platform for platform in _platforms()}
