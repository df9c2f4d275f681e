"""Probes of network interfaces, transports, and host names."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

from mpiapps.base.launch_environment import allocated_hosts
from mpiapps.diagnostics.network_interfaces import bridges, interfaces
from mpiapps.diagnostics.probe import (
    ERROR,
    LIKELY,
    POSSIBLE,
    WARNING,
    Finding,
    NotApplicable,
    probe,
)
from mpiapps.diagnostics.system import System

SELECTIONS = ("OMPI_MCA_btl_tcp_if_include", "OMPI_MCA_btl_tcp_if_exclude")
FAST_TRANSPORTS = r"Transport: (rc_\w+|rc|dc_\w+|dc|ud_\w+|ud)\b"


@probe(
    "bridges",
    examines="bridges such as docker0 and virbr0, in a job of several hosts",
    symptom="hang in the first message between hosts",
)
def bridge_interfaces(system: System) -> Iterator[Finding]:
    """Find bridges that may have the same address on each host."""
    if allocated_hosts(system.environ) < 2:
        raise NotApplicable("not in a job of several hosts")
    if any(name in system.environ for name in SELECTIONS):
        raise NotApplicable("btl_tcp_if_include or btl_tcp_if_exclude is set")
    names = bridges(system.path("/sys/class/net"))
    if system.root == Path("/"):
        names = [name for name in names if name in interfaces()]
    if names and system.library.family in ("Open MPI", ""):
        yield Finding(
            WARNING,
            f"bridges on this host: {', '.join(names)}",
            "They often have the same address on all hosts: Open MPI connects to itself"
            " there, and hangs. `mpiapps doctor --job` compares the addresses.",
            f"export OMPI_MCA_btl_tcp_if_exclude=lo,{','.join(names)}"
            f" PRTE_MCA_prte_if_exclude=lo,{','.join(names)}",
            POSSIBLE,
        )


@probe(
    "ucx",
    examines="transports in `ucx_info -d`, against the InfiniBand ports",
    symptom="UCX `no active messages transport`, `retry count exceeded`",
)
def ucx(system: System) -> Iterator[Finding]:
    """Find ports that UCX does not use, or a UCX_TLS without transports."""
    ports = [
        path.parent
        for path in system.path("/sys/class/infiniband").glob("*/ports/*/state")
        if "ACTIVE" in path.read_text()
    ]
    selected = system.environ.get("UCX_TLS", "")
    if system.which("ucx_info") is None or not (ports or selected):
        raise NotApplicable("no ucx_info on PATH, or no active InfiniBand port")
    text = system.run(["ucx_info", "-d"]).text
    available = re.findall(r"Transport: (\w+)", text)
    if ports and not re.search(FAST_TRANSPORTS, text):
        yield Finding(
            WARNING,
            f"{len(ports)} active port(s), and UCX has only"
            f" {', '.join(sorted({*available})) or 'no transports'}",
            "Messages between hosts use TCP, or fail.",
            "export OMPI_MCA_pml=ob1 OMPI_MCA_osc=^ucx to run without UCX; install"
            " rdma-core or load the site's UCX module",
            LIKELY,
        )
    words = [word for word in re.split(r"[, ]+", selected) if word]
    known = (*available, "all", "sm", "shm", "tcp", "self", "rc", "ud", "dc", "ib")
    unknown = [w for w in words if w.lstrip("^") not in known]
    if unknown:
        yield Finding(
            ERROR,
            f"UCX_TLS={selected}: this host has no {', '.join(unknown)}",
            "UCX finds no transport between ranks.",
            "unset UCX_TLS",
            LIKELY,
        )


@probe(
    "host-name",
    examines="the address of this host's name",
    symptom="dask: `Waiting to connect`; MPICH: `gethostbyname failed`",
)
def host_name(system: System) -> Iterator[Finding]:
    """Find a name that has no address, or on several hosts one of the loopback."""
    name = socket.gethostname()
    try:
        addresses = {str(row[4][0]) for row in socket.getaddrinfo(name, None)}
    except OSError as error:
        yield Finding(
            WARNING,
            f"the name {name} of this host has no address: {error.strerror}",
            "Launchers and Dask cannot connect to this host.",
            f"add `127.0.1.1 {name}` to /etc/hosts on one machine; on a cluster ask the"
            " site",
        )
        return
    loopback = all(a.startswith("127.") or a == "::1" for a in addresses)
    if loopback and allocated_hosts(system.environ) > 1:
        yield Finding(
            WARNING,
            f"the name {name} has only {', '.join(sorted(addresses))}",
            "Schedulers of Dask and other servers bind an address that other hosts"
            " cannot reach.",
            "python -m mpiapps.dask --interface NAME, or dask-mpi --interface NAME,"
            " with an interface of `ip -brief address`",
            POSSIBLE,
        )
