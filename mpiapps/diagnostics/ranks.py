"""What the program `doctor` does on ranks: examine each host, measure, compare."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from mpiapps.base.launch_environment import without_rank_variables
from mpiapps.comm.world import World
from mpiapps.diagnostics import comparison, host_devices, measure
from mpiapps.diagnostics.examine import from_dict
from mpiapps.diagnostics.network_interfaces import addresses
from mpiapps.diagnostics.placement import host_versions, rank_row
from mpiapps.diagnostics.probe import Examination, Finding

HOST_LIMIT = 45.0  # s for the probes of a host
HOST_PROBES = [sys.executable, "-m", "mpiapps", "doctor", "--json"]


def examine_ranks(
    world: World, message: int, copy: int
) -> tuple[dict[str, Any], list[Examination]]:
    """Return the values of the record, and the findings; empty off the root.

    Collective.

    Parameters
    ----------
    world : World
    message, copy : int
        Bytes of a message, and of the array that each rank copies.
    """
    hosts = measure.Hosts.of(world)
    is_leader = world.rank in hosts.leaders
    with measure.asleep_after(world):
        probes = host_probes(world.local_size) if is_leader else []
    rows = world.comm.gather(rank_row(world.rank, world.host), root=world.root)
    own = (
        (world.host, host_versions(measure.library_version()), addresses(), probes)
        if is_leader
        else None
    )
    gathered = world.objects.gather(own, root=world.root)
    with world.timed("messages"):
        messages = measure.messages(world, hosts, message)
    with world.timed("memory"):
        memory = measure.memory_bandwidth(world, copy)
    clocks = measure.clock_offsets(world, hosts)
    locks = measure.locks(world, hosts, Path.cwd())
    connections = measure.connections(world, hosts)
    if rows is None or gathered is None or memory is None:
        return {}, []
    leaders = [row for row in gathered if row is not None]
    between = {  # the second rank of a pair of hosts -> bandwidth
        rows[row["ranks"][1]]["host"]: row["bandwidth"]
        for row in messages
        if rows[row["ranks"][0]]["host"] != rows[row["ranks"][1]]["host"]
    }
    probes_of_hosts = {row[0]: row[3] for row in leaders}
    devices = host_devices.of_hosts(probes_of_hosts)
    found = {
        "placement": comparison.placement(rows),
        "host-devices": host_devices.different(devices) + host_devices.isolated(rows),
        "versions": comparison.versions({row[0]: row[1] for row in leaders}),
        "addresses": comparison.network_addresses({r[0]: r[2] for r in leaders}),
        "clocks": comparison.clocks(clocks),
        "work-directory-locks": comparison.locks(locks or [], str(Path.cwd())),
        "connections": comparison.connections(connections or []),
        "bandwidth": comparison.slow_hosts(between, "bandwidth to the first host"),
        "memory": comparison.slow_hosts(
            comparison.by_host(rows, memory), "memory bandwidth per rank"
        ),
    }
    examinations = comparison.merge_hosts(probes_of_hosts)
    examinations += [_examination(name, items) for name, items in found.items()]
    values = {
        "placement": [
            {**row, "memory_bandwidth": rate}
            for row, rate in zip(rows, memory, strict=True)
        ],
        "messages": [
            {**row, "hosts": [rows[rank]["host"] for rank in row["ranks"]]}
            for row in messages
        ],
        "versions": {row[0]: row[1] for row in leaders},
        "cuda_devices": devices,
        "clocks": clocks,
        "locks": locks or [],
        "probes": [each.as_dict() for each in examinations],
    }
    return values, examinations


# Probe on ranks -> what it looks at.
LOOKED_AT = {
    "placement": "CPUs and BLAS threads of each rank",
    "host-devices": "CUDA devices of each host, and those that each rank sees",
    "versions": "versions of Python, packages, MPI and libc, kind of CPU, on each host",
    "addresses": "IPv4 addresses of the interfaces of all hosts",
    "clocks": "the clock of each host against that of the first",
    "work-directory-locks": "a file of the first host in the work directory, its lock",
    "connections": "a TCP connection of each host to the first one, by its name",
    "bandwidth": "bandwidth between the first host and each other one",
    "memory": "bytes per second that each rank copies while all copy",
}


def _examination(name: str, findings: list[Finding]) -> Examination:
    status = "found" if findings else "ok"
    return Examination(name, LOOKED_AT[name], status, tuple(findings))


def host_probes(ranks: int) -> list[Examination]:
    """Return the outcome of the probes on this host, executed by another process.

    Local. `subprocess` starts it by vfork, which is safe after MPI_Init.
    """
    environ = without_rank_variables(os.environ)
    try:
        done = subprocess.run(
            [*HOST_PROBES, "--ntasks", str(ranks)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=HOST_LIMIT,
            env=environ,
            check=False,
        )
        rows = json.loads(done.stdout)["probes"]
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        name = "host-probes"
        return [Examination(name, "the probes of a host", "failed", reason=str(error))]
    return [from_dict(row) for row in rows]
