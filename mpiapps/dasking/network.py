"""At which address of the root's host the other hosts find it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mpiapps.base.errors import LaunchError
from mpiapps.comm.agree import agree

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

LOOPBACK = "127.0.0.1"
PATIENCE = 3.0  # s for a connection to an address that may not be reached
Place = tuple[str, int]


def address_of(comm: Intracomm, interface: str = "", *, several: bool) -> str:
    """Return the address of the root's host to listen at. Collective over `comm`.

    Parameters
    ----------
    comm : Intracomm
        The first rank of each host; the root is the first.
    interface : str
        Take the address of this one, such as ``ib0``.
    several : bool
        Whether somebody on another host will come; else it is loopback.

    Raises
    ------
    LaunchError
        If there is no address that all hosts can connect to, on all ranks.

    Notes
    -----
    The root listens at each of its addresses for a moment, and the other hosts try
    each one. Cost: a broadcast and a gather of a few numbers.
    """
    if not several and not interface:
        return LOOPBACK
    text, found = "", ""
    places: list[Place] = []
    with ExitStack() as stack:
        with agree(comm):
            if comm.rank == 0:
                addresses = list(_addresses(interface))
                for each in addresses:
                    with suppress(OSError):  # it has just been given up, or taken on
                        places.append(stack.enter_context(_listening(each)))
                text = _told(addresses, interface)
        places = comm.bcast(places)
        reached = comm.gather([reaches(place) for place in places])
        if reached is not None:
            good = [all(each) for each in zip(*reached, strict=True)]
            found = next(
                (p[0] for p, fine in zip(places, good, strict=True) if fine), ""
            )
        answer: tuple[str, str] = comm.bcast((found, text))
    found, text = answer
    if not found:
        raise LaunchError(text)
    return found


def address_towards(other: str) -> str:
    """Return the address of this host from which it would reach `other`. Local."""
    family = socket.AF_INET6 if ":" in other else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((other, 9))  # of datagrams: nothing is sent
        return str(probe.getsockname()[0])


def _addresses(interface: str) -> Iterator[str]:
    """Yield this host's addresses that others may reach: that of its name first."""
    import psutil

    up = {name for name, found in psutil.net_if_stats().items() if found.isup}
    listed = psutil.net_if_addrs()
    if interface and interface not in listed:
        raise LaunchError(
            f"--interface {interface} is none of this host; it has"
            f" {', '.join(sorted(listed))}"
        )
    found = [
        str(each.address)
        for name in ([interface] if interface else sorted(up))
        for each in listed.get(name, ())
        if each.family in {socket.AF_INET, socket.AF_INET6}
        and _can_be_named(each.address, loopback=bool(interface))
    ]
    named = _named()
    found.sort(key=lambda address: (address not in named, ":" in address))
    yield from found


def _can_be_named(address: str, *, loopback: bool) -> bool:
    """Whether others find it: those of one link have no name elsewhere.

    Loopback is for those who ask for it.
    """
    ip = ip_address(address.partition("%")[0])
    return not ip.is_link_local and (loopback or not ip.is_loopback)


def _named() -> Sequence[str]:
    try:
        return [str(each[4][0]) for each in socket.getaddrinfo(socket.gethostname(), 0)]
    except OSError:
        return []


@contextmanager
def _listening(address: str) -> Iterator[Place]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen(4096)
        yield address, listener.getsockname()[1]


def reaches(place: Place) -> bool:
    """Return whether somebody listens there. Local."""
    try:
        socket.create_connection(place, PATIENCE).close()
    except OSError:
        return False
    return True


def listens(address: str) -> bool:
    """Return whether a process of this host listens at `address`, a URL. Local.

    It sends nothing, and needs no answer of a process that may be busy: the
    system refuses an address, also for reuse, to which somebody listens.
    """
    where = urlsplit(address)
    place = str(where.hostname), int(where.port or 0)
    family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _told(addresses: Sequence[str], interface: str) -> str:
    of = f" of {interface}" if interface else ""
    listed = ", ".join(addresses) or "none"
    return (
        f"not all hosts can connect to rank 0 on {socket.gethostname()}; its"
        f" addresses{of}: {listed}; name the network between the hosts by --interface,"
        " and see that no firewall closes ports above 1024 on it"
    )
