"""Wait for a debugger on some ranks: ``--debug-ranks``."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from mpiapps.base.launch_environment import LaunchEnvironment
from mpiapps.base.optional import import_optional, require
from mpiapps.base.rank_list import parse_ranks
from mpiapps.base.streams import write_err

LOOPBACK = "127.0.0.1"  # any process that can connect can run code in the rank


def wait_for_debugger(ranks: str, launch: LaunchEnvironment) -> None:
    """Print where a debugger connects, and wait for it, if this rank is in `ranks`.

    Local. To be called before MPI starts, since debugpy starts a process; the other
    ranks then wait in ``MPI_Init``.

    Parameters
    ----------
    ranks : str
        ``all``, or numbers such as ``0,2``; nothing for no rank.
    launch : LaunchEnvironment

    Raises
    ------
    UsageError
        On all ranks, if one of `ranks` does not exist.
    LaunchError
        On all ranks, if debugpy is not installed.
    """
    if not ranks:
        return
    selected = parse_ranks(ranks, launch.size or 1, "--debug-ranks")
    require("debugpy", "debug", "--debug-ranks")
    rank = launch.rank or 0
    if rank not in selected:
        return
    # Else debugpy warns of the frozen modules of Python 3.11 and later.
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    debugpy = import_optional("debugpy", "debug", "--debug-ranks")
    # Children, such as those of tasks with a time limit, would wait for a client too.
    debugpy.configure(subProcess=False)
    with _null_streams():
        _, port = debugpy.listen((LOOPBACK, 0))
    host = socket.gethostname()
    write_err(
        f"mpiapps: rank {rank} on {host} waits for a debugger on {LOOPBACK}:{port};"
        f" from another host: ssh -L {port}:{LOOPBACK}:{port} {host}\n"
    )
    debugpy.wait_for_client()


@contextmanager
def _null_streams() -> Iterator[None]:
    """Make processes that are started inherit the null device as standard streams.

    debugpy's adapter lives until its client disconnects. With the streams of the rank
    it would keep mpiexec waiting for their end.
    """
    saved = [os.dup(number) for number in range(3)]
    null = os.open(os.devnull, os.O_RDWR)
    try:
        for number in range(3):
            os.dup2(null, number)
        yield
    finally:
        for number, copy in enumerate(saved):
            os.dup2(copy, number)
            os.close(copy)
        os.close(null)
