"""Measurements on the ranks of a job: messages, memory, clocks, locks, connections."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from mpiapps.comm.world import World

SMALL_MESSAGES, LARGE_MESSAGES, COPIES, CLOCK_READINGS = 200, 5, 3, 20
TAG = 1
APPEARS = 3.0  # s until a file is visible on another host
CONNECT_LIMIT = 3.0  # s
POLL = 0.001  # s


@dataclass(frozen=True)
class Hosts:
    """The hosts of a world. Local once made.

    Attributes
    ----------
    leaders : list of int
        The first rank of each host.
    seconds : list of int
        The second rank of each host; -1 without one.
    names : list of str
    """

    leaders: list[int]
    seconds: list[int]
    names: list[str]

    @classmethod
    def of(cls, world: World) -> Hosts:
        """Return the hosts of a world. Collective."""
        ranks = world.node.gather(world.rank, root=0)
        own = None if ranks is None else (ranks[0], [*ranks[1:], -1][0], world.host)
        rows = sorted(row for row in world.comm.allgather(own) if row is not None)
        return cls(*map(list, zip(*rows, strict=True)))


@contextmanager
def asleep_after(world: World) -> Iterator[None]:
    """After the block, sleep until all ranks have left it. Collective.

    Ranks that wait in a blocking call would take cores from those that measure.
    """
    yield
    request = world.comm.Ibarrier()
    while not request.Test():
        time.sleep(POLL)


def pingpong(world: World, pair: tuple[int, int], nbytes: int) -> dict[str, Any] | None:
    """Return latency (s) and bandwidth (bytes/s) between two ranks.

    Collective over the two ranks of `pair`; the first returns the result, the other
    `None`. Half the median of `SMALL_MESSAGES` round trips, and the best of
    `LARGE_MESSAGES`.
    """
    small, large = np.zeros(1, np.uint8), np.zeros(nbytes, np.uint8)
    peer = pair[1] if world.rank == pair[0] else pair[0]
    times: list[list[float]] = []
    for buffer, count in ((small, SMALL_MESSAGES), (large, LARGE_MESSAGES)):
        times.append([])
        for _ in range(count + 1):  # the first one opens the connection
            start = time.perf_counter()
            if world.rank == pair[0]:
                world.comm.Send(buffer, peer, TAG)
                world.comm.Recv(buffer, peer, TAG)
            else:
                world.comm.Recv(buffer, peer, TAG)
                world.comm.Send(buffer, peer, TAG)
            times[-1].append(time.perf_counter() - start)
    if world.rank != pair[0]:
        return None
    return {
        "ranks": list(pair),
        "latency": float(np.median(times[0][1:])) / 2,
        "bandwidth": 2 * nbytes / min(times[1][1:]),
    }


def messages(world: World, hosts: Hosts, nbytes: int) -> list[dict[str, Any]]:
    """Return the `pingpong` within each host, and of the first with each other one.

    Collective; the list is complete on the root. Hosts measure within themselves at the
    same time, pairs of hosts one after another.
    """
    rows = []
    with asleep_after(world):
        pairs = zip(hosts.leaders, hosts.seconds, strict=True)
        own = [pair for pair in pairs if world.rank in pair and pair[1] >= 0]
        rows += [pingpong(world, pair, nbytes) for pair in own]
    for leader in hosts.leaders[1:]:
        with asleep_after(world):
            pair = hosts.leaders[0], leader
            if world.rank in pair:
                rows.append(pingpong(world, pair, nbytes))
    gathered = world.comm.gather([row for row in rows if row], root=world.root) or []
    return [row for rank_rows in gathered for row in rank_rows]


def memory_bandwidth(world: World, nbytes: int) -> list[float] | None:
    """Return the bytes/s that each rank copies while all copy. Collective.

    Bytes read and written, best of `COPIES`; on the root, `None` elsewhere.
    """
    source, target = np.ones(nbytes, np.uint8), np.empty(nbytes, np.uint8)
    target[:] = 0  # allocated now, on this rank's NUMA node
    seconds = []
    world.comm.Barrier()
    for _ in range(COPIES):
        start = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - start)
    return world.comm.gather(2 * nbytes / min(seconds), root=world.root)


def clock_offsets(world: World, hosts: Hosts) -> list[dict[str, Any]]:
    """Return the clock of each host minus that of the first, in seconds. Collective.

    By the exchange with the shortest round trip, whose half bounds the error
    (F. Cristian, 1989). Complete on the root.
    """
    rows = [{"host": hosts.names[0], "offset": 0.0, "error": 0.0}]
    for leader, name in zip(hosts.leaders[1:], hosts.names[1:], strict=True):
        best = (float("inf"), 0.0)
        with asleep_after(world):
            for _ in range(CLOCK_READINGS):
                if world.rank == leader:
                    world.comm.recv(source=hosts.leaders[0], tag=TAG)
                    world.comm.send(time.time(), hosts.leaders[0], TAG)
                elif world.rank == hosts.leaders[0]:
                    sent = time.time()
                    world.comm.send(None, leader, TAG)
                    remote = world.comm.recv(source=leader, tag=TAG)
                    trip = time.time() - sent
                    best = min(best, (trip, remote - (sent + trip / 2)))
        rows.append({"host": name, "offset": best[1], "error": best[0] / 2})
    return rows


def locks(world: World, hosts: Hosts, directory: Path) -> list[dict[str, Any]] | None:
    """Return for each host whether it sees a file of the first one, and its lock.

    Collective; on the root. The first host creates a file in `directory` and locks it
    with flock; the others try to lock it.
    """
    name, file = "", None
    if world.rank == hosts.leaders[0]:
        with suppress(OSError):
            path = directory / f".mpiapps-doctor-{os.urandom(4).hex()}"
            file = path.open("w")
            name = str(path)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    name = world.comm.bcast(name, root=hosts.leaders[0])
    row = None
    if name and world.rank in hosts.leaders[1:]:
        row = {"host": world.host, **_try_lock(Path(name))}
    rows = world.comm.gather(row, root=world.root)
    if file is not None:
        file.close()
        Path(name).unlink(missing_ok=True)
    return None if rows is None else [each for each in rows if each]


def _try_lock(path: Path) -> dict[str, bool]:
    end = time.monotonic() + APPEARS
    while not path.exists():  # NFS caches directories for some seconds
        if time.monotonic() > end:
            return {"seen": False, "locked": False}
        time.sleep(0.1)
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return {"seen": True, "locked": True}
    return {"seen": True, "locked": False}


def connections(world: World, hosts: Hosts) -> list[dict[str, Any]] | None:
    """Return for each host whether it connects to the first one by its name.

    Collective; on the root. As Dask's workers do to their scheduler.
    """
    server, target = None, ("", 0)
    if world.rank == hosts.leaders[0] and len(hosts.leaders) > 1:
        server = socket.create_server(("", 0), backlog=len(hosts.leaders))
        target = hosts.names[0], server.getsockname()[1]
    target = world.comm.bcast(target, root=hosts.leaders[0])
    row = None
    if world.rank in hosts.leaders[1:]:
        reason = ""
        try:
            socket.create_connection(target, timeout=CONNECT_LIMIT).close()
        except OSError as error:
            reason = str(error)
        row = {"host": world.host, "target": target[0], "error": reason}
    rows = world.comm.gather(row, root=world.root)
    if server is not None:
        server.close()
    return None if rows is None else [each for each in rows if each]


def library_version() -> str:
    """Return the first line of ``MPI_Get_library_version``. Local."""
    return MPI.Get_library_version().strip("\0 \n").splitlines()[0]
