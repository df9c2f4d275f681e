"""The address of the root's host that the other hosts can connect to."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mpiapps.base.errors import LaunchError
from mpiapps.comm.consistency import raise_together

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

LOOPBACK = "127.0.0.1"
CONNECT_TIMEOUT = 3.0  # s to connect to an address that may be unreachable
ANSWER_TIMEOUT = 1.0  # s for a scheduler on this host to answer
SocketAddress = tuple[str, int]


def listen_address(comm: Intracomm, interface: str = "", *, remote: bool) -> str:
    """Return the address that the root's host listens at. Collective over `comm`.

    Parameters
    ----------
    comm : Intracomm
        The first rank of each host; the root is the first.
    interface : str
        Use the address of this network interface, such as ``ib0``.
    remote : bool
        Whether other hosts connect; if not, the address is loopback.

    Raises
    ------
    LaunchError
        On all ranks, if there is no address that all hosts can connect to.

    Notes
    -----
    The root listens briefly at each of its addresses, and the other hosts try to
    connect to each. Cost: a broadcast and a gather of a few numbers.
    """
    if not remote and not interface:
        return LOOPBACK
    text, address = "", ""
    candidates: list[SocketAddress] = []
    with ExitStack() as stack:
        with raise_together(comm):
            if comm.rank == 0:
                addresses = list(_addresses(interface))
                for name in addresses:
                    with suppress(OSError):  # removed, or not yet ready
                        candidates.append(stack.enter_context(_listening(name)))
                text = _unreachable(addresses, interface)
        candidates = comm.bcast(candidates)
        reached = comm.gather([can_connect(candidate) for candidate in candidates])
        if reached is not None:
            by_all = map(all, zip(*reached, strict=True))
            pairs = zip(candidates, by_all, strict=True)
            address = next((name for (name, _), reachable in pairs if reachable), "")
        answer: tuple[str, str] = comm.bcast((address, text))
    address, text = answer
    if not address:
        raise LaunchError(text)
    return address


def source_address(other: str) -> str:
    """Return the address from which this host connects to `other`. Local."""
    family = socket.AF_INET6 if ":" in other else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((other, 9))  # UDP: nothing is sent
        return str(probe.getsockname()[0])


def _addresses(interface: str) -> Iterator[str]:
    """Yield this host's routable addresses, those of its host name first."""
    import psutil

    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    listed = psutil.net_if_addrs()
    if interface and interface not in listed:
        raise LaunchError(
            f"--interface {interface} is not an interface of this host; it has"
            f" {', '.join(sorted(listed))}"
        )
    addresses = [
        str(entry.address)
        for name in ([interface] if interface else sorted(up))
        for entry in listed.get(name, ())
        if entry.family in {socket.AF_INET, socket.AF_INET6}
        and _is_routable(entry.address, loopback=bool(interface))
    ]
    preferred = _hostname_addresses()
    yield from sorted(addresses, key=lambda name: (name not in preferred, ":" in name))


def _is_routable(address: str, *, loopback: bool) -> bool:
    """Return whether other hosts can use it: a link-local address is ambiguous there.

    Loopback counts if `loopback`, for an explicit --interface.
    """
    ip = ip_address(address.partition("%")[0])
    return not ip.is_link_local and (loopback or not ip.is_loopback)


def _hostname_addresses() -> Sequence[str]:
    try:
        found = socket.getaddrinfo(socket.gethostname(), 0)
        return [str(sockaddr[0]) for *_, sockaddr in found]
    except OSError:
        return []


@contextmanager
def _listening(address: str) -> Iterator[SocketAddress]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen(4096)
        yield address, listener.getsockname()[1]


def can_connect(address: SocketAddress) -> bool:
    """Return whether a process accepts connections at `address`. Local."""
    try:
        socket.create_connection(address, CONNECT_TIMEOUT).close()
    except OSError:
        return False
    return True


def scheduler_runs(address: str) -> bool:
    """Return whether this host's scheduler at `address` runs, even if busy. Local."""
    from distributed import Client

    try:
        Client(address, timeout=ANSWER_TIMEOUT, set_as_default=False).close()
    except OSError:
        return is_listening(address)
    return True


def is_listening(address: str) -> bool:
    """Return whether a process of this host listens at `address`, a URL. Local.

    It sends nothing and needs no answer from a busy process: bind fails with
    EADDRINUSE at an address with a listener, also with SO_REUSEADDR.
    """
    url = urlsplit(address)
    name = str(url.hostname), int(url.port or 0)
    family = socket.AF_INET6 if ":" in name[0] else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(name)
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _unreachable(addresses: Sequence[str], interface: str) -> str:
    of = f" on {interface}" if interface else ""
    listed = ", ".join(addresses) or "none"
    return (
        f"not all hosts can connect to rank 0 on {socket.gethostname()}; its"
        f" addresses{of}: {listed}; name the network between the hosts by --interface,"
        " and check that no firewall blocks ports above 1024 on it"
    )
