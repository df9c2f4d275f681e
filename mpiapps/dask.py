"""Dask on the ranks of one MPI job: a script gets a client, and all ends with it.

The root runs the script, beside the scheduler; each other rank has a worker. In the
script the client is current: nothing in it has to be edited. docs/dask.md tells what is
promised, and why.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, checkpoint, main, option
from mpiapps.base.errors import Stopped
from mpiapps.base.streams import write_err
from mpiapps.comm.start import end_mpi
from mpiapps.dasking.connection import connect
from mpiapps.dasking.script import on_stop
from mpiapps.dasking.watch import StopAsked

if TYPE_CHECKING:
    from distributed import Client
    from mpi4py.MPI import Intracomm

    from mpiapps.comm.world import World
    from mpiapps.dasking.setup import Setup

__all__ = ["PROGRAM", "StopAsked", "connect", "dask_on_ranks", "on_stop"]

ENGINES = ("own", "dask-mpi")


@dataclass(frozen=True)
class Options:
    """Which script, and the cluster that it gets."""

    script: str = option(
        "", "a Python file", positional=True, metavar="SCRIPT", several="?"
    )
    arguments: tuple[str, ...] = option(
        (), "what the script gets", several="...", positional=True, metavar="ARG"
    )
    threads: int = option(0, "of each worker (0: the processors of its rank)", least=0)
    memory: int = option(0, "of each worker (0: its share)", parse="size", least=0)
    interface: str = option(
        "", "network between hosts, such as ib0 (default: what all reach)"
    )
    local_directory: str = option(
        "", "where workers spill to (default: the job's scratch)", metavar="FOLDER"
    )
    dashboard: bool = option(False, "start Dask's page, and tell how to see it")
    connection: str = option(
        "",
        "write FILE, for programs that join in: mpiapps dask connect",
        metavar="FILE",
    )
    insecure: bool = option(
        False, "without TLS: who reaches the ports can run code as you"
    )
    engine: str = option("own", "what starts the cluster", choices=ENGINES)


@contextmanager
def dask_on_ranks(comm: Intracomm, **setup: Any) -> Iterator[Client | None]:
    """Start a Dask cluster on the ranks of `comm`; yield its client. Collective.

    ::

        with dask_on_ranks(world.comm) as client:
            if client is not None:  # the root; the others wait until it is through
                client.map(function, items)

    Parameters
    ----------
    comm : MPI.Intracomm
        Any. The root has client and scheduler, each other rank a worker; a root that is
        alone has a worker, too.
    **setup
        The attributes of `mpiapps.dasking.setup.Setup`.

    Yields
    ------
    Client or None
        On the root; it is the current one, for `distributed.get_client` and for
        ``Client()``. On the other ranks `None`, when the root has left.

    Raises
    ------
    LaunchError
        If Dask does not start, or hosts do not reach each other; on all ranks.
    KeeperLost
        If scheduler or workers were killed: in the main thread, whatever it waits for.
    StopAsked
        If the run was warned of its end, or the job's deadline has come.

    Notes
    -----
    However the block ends, all is closed within 10 s. Ranks that wait sleep. Messages
    and data of Dask go over its own connections, with TLS; MPI carries addresses and
    keys alone.
    """
    from mpiapps.dasking.ranks import Cluster
    from mpiapps.dasking.setup import Setup

    with Cluster(comm, Setup(**setup)) as cluster:
        yield cluster.client
        cluster.see_it_there()


def check(options: Options) -> None:
    """Raise `ValueError` if the options do not go together. Local."""
    if options.engine != "own" and (options.connection or not options.script):
        raise ValueError(f"--engine {options.engine} runs a script, and none can join")
    if not options.script and not options.connection:
        raise ValueError("name a script, or a --connection for others to join in")
    if options.script and not Path(options.script).is_file():
        raise ValueError(f"there is no file {options.script}")


def run(world: World, options: Options) -> Result:
    """Run the script on the root, with the other ranks' workers. Collective."""
    if options.engine == "dask-mpi":
        from mpiapps.dasking.dask_mpi import run as start
    else:
        start = _run
    code, values = 0, dict[str, Any]()
    stopped = False
    try:
        code, values = start(world, options)
    except StopAsked:
        stopped = bool(options.script)  # a cluster for others has simply ended
    gc.freeze()  # Python looks through all objects of Dask at its end otherwise
    code, values, stopped = world.comm.bcast((code, values, stopped))
    if stopped:
        checkpoint.leave_word(world, "dask", options, 0.0)
        raise Stopped(f"{options.script} stopped before its end; start it again")
    if code:
        raise SystemExit(code)
    return Result(values)


def _run(world: World, options: Options) -> tuple[int, dict[str, Any]]:
    """Return the script's exit code, and what the run was; on the root."""
    from mpiapps.dasking import connection
    from mpiapps.dasking.ranks import Cluster
    from mpiapps.dasking.script import run_script

    code = 0
    with world.timed("start"):
        cluster = Cluster(world.comm, _setup(options))
    with cluster:
        if cluster.client is not None:
            from mpiapps.dasking.forward import inherited  # it loads Dask

            insecure = "--insecure" if options.insecure else ""
            connection.announce(cluster.dashboard, insecure=insecure)
            with world.timed("script"), connection.offered(options.connection, cluster):
                if options.script:
                    with inherited():
                        code = run_script(options.script, options.arguments)
                    if code and (why := cluster.lost()):
                        write_err(f"mpiapps: {why}\n")
                    elif not code:
                        cluster.see_it_there()
                else:
                    connection.wait(cluster)
    return code, cluster.summary


def _setup(options: Options) -> Setup:
    from mpiapps.dasking.setup import Setup

    return Setup(
        threads=options.threads,
        memory=options.memory,
        interface=options.interface,
        folder=options.local_directory,
        dashboard=options.dashboard,
        insecure=options.insecure,
        outside=bool(options.connection),
        idle=not options.script,
        path=(str(Path(options.script).resolve().parent),) if options.script else (),
    )


PROGRAM = Program(
    "dask", "Run a script with a Dask cluster on the ranks.", Options, run, check,
    quiet=True,
)  # fmt: skip

if __name__ == "__main__":
    code = main(PROGRAM)
    end_mpi()  # while Dask's processes end, for which the exit waits
    sys.exit(code)
