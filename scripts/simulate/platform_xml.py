"""SimGrid's description of a platform of `mpiapps.base.platforms`."""

from __future__ import annotations

from mpiapps.base.platforms import Platform
from mpiapps.comm.partition import divisors

LEAF = 32  # hosts of a leaf switch of a fat tree
TAPER = 2  # hosts per uplink of a leaf switch
GROUP = 64  # hosts of a group of a dragonfly: 4 chassis of 4 routers of 4 hosts

XML = """<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="cluster" prefix="h-" suffix="" radical="0-{last}"
    speed="{flops:.0f}f" core="{cores}"
    bw="{bandwidth:.0f}Bps" lat="{latency:.10f}s" sharing_policy="SPLITDUPLEX"
    loopback_bw="{loopback:.0f}Bps" loopback_lat="2e-7s"
    topology="{topology}" topo_parameters="{parameters}"/>
</platform>
"""
CORES = 128  # of a host: ranks and servers on one host do not share a core
LOOPBACK = 1e10  # byte/s between two processes of a host


def to_xml(platform: Platform, hosts: int) -> str:
    """Return the XML of hosts h-0, h-1 ...; their number is a power of 2 from 64 on."""
    parameters = {
        "fat-tree": _fat_tree,
        "dragonfly": _dragonfly,
        "torus": _torus,
    }[platform.topology](hosts)
    return XML.format(
        last=hosts - 1,
        flops=platform.flops,
        cores=CORES,
        bandwidth=platform.bandwidth,
        latency=platform.latency,
        loopback=LOOPBACK,
        topology=platform.topology.upper().replace("-", "_"),
        parameters=parameters,
    )


def _fat_tree(hosts: int) -> str:
    return f"2;{LEAF},{hosts // LEAF};1,{LEAF // TAPER};1,1"


def _dragonfly(hosts: int) -> str:
    return f"{hosts // GROUP},2;4,2;4,1;4"


def _torus(hosts: int) -> str:
    """Return the three lengths nearest to each other."""
    lengths = [
        (x, y, hosts // x // y) for x in divisors(hosts) for y in divisors(hosts // x)
    ]
    return ",".join(map(str, min(lengths, key=lambda xyz: (sum(xyz), xyz))))
