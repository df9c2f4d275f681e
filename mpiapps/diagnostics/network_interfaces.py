"""Network interfaces of this host and their addresses, without other packages."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

SIOCGIFADDR = 0x8915  # man 7 netdevice


def interfaces() -> list[str]:
    """Return the names of the interfaces of this network namespace.

    ``/sys/class/net`` is that of the namespace in which ``/sys`` was mounted.
    """
    return sorted(name for _, name in socket.if_nameindex())


def bridges(directory: Path = Path("/sys/class/net")) -> list[str]:
    """Return the bridges that are not down, such as docker0 and virbr0."""
    names = []
    for path in sorted(directory.glob("*/bridge")):
        state = path.parent / "operstate"
        if not state.is_file() or state.read_text().strip() != "down":
            names.append(path.parent.name)
    return names


def addresses() -> dict[str, str]:
    """Return the IPv4 address of each interface, without the loopback."""
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        for name in interfaces():
            request = struct.pack("256s", name.encode()[:15])
            try:
                reply = fcntl.ioctl(query, SIOCGIFADDR, request)
            except OSError:
                continue  # without an address
            address = socket.inet_ntoa(reply[20:24])
            if not address.startswith("127."):
                found[name] = address
    return found


def shared_addresses(
    hosts: Mapping[str, Mapping[str, str]],
) -> dict[str, list[tuple[str, str]]]:
    """Return the addresses that several hosts have, with host and interface.

    Parameters
    ----------
    hosts : mapping
        The `addresses` of each host.
    """
    owners: dict[str, list[tuple[str, str]]] = {}
    for host, interfaces in hosts.items():
        for name, address in interfaces.items():
            owners.setdefault(address, []).append((host, name))
    return {
        address: pairs
        for address, pairs in owners.items()
        if len({host for host, _ in pairs}) > 1
    }
