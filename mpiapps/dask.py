"""Run a script with a Dask cluster on the ranks of one MPI job.

The root runs the script, beside the scheduler; each other rank has a worker. The client
is current in the script, which needs no changes. The end of the script closes the
cluster. docs/dask.md lists the guarantees.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, main, option
from mpiapps.base.errors import Checkpointed
from mpiapps.base.streams import write_err
from mpiapps.dask_cluster.scheduler_file import connect
from mpiapps.dask_cluster.script import on_stop, silence_client_logs
from mpiapps.dask_cluster.settings import parse_resource, parse_setting
from mpiapps.launch.interrupter import StopRequested
from mpiapps.launch.start import end_mpi

if TYPE_CHECKING:
    from distributed import Client
    from mpi4py.MPI import Intracomm

    from mpiapps.app.context import RunContext
    from mpiapps.base.deadline import Deadline
    from mpiapps.comm.world import World
    from mpiapps.dask_cluster.cluster import Cluster
    from mpiapps.dask_cluster.cluster_options import ClusterOptions

__all__ = ["PROGRAM", "StopRequested", "connect", "dask_on_ranks", "on_stop"]

ENGINES = ("own", "dask-mpi")
POLL_SECONDS = 0.2
KILL_DETECT_SECONDS = 0.6  # until a killed process is known to have ended


@dataclass(frozen=True)
class Options:
    """The script, and the cluster that it uses."""

    script: str = option(
        "", "Python script", positional=True, metavar="SCRIPT", nargs="?"
    )
    arguments: tuple[str, ...] = option(
        (), "arguments of the script", nargs="...", positional=True, metavar="ARG"
    )
    threads: int = option(
        0, "threads per worker (0: one per processor of its rank)", min=0
    )
    memory: int = option(
        0, "memory limit per worker (0: its share)", type="size", min=0
    )
    interface: str = option(
        "", "network between hosts, such as ib0 (default: one that all can reach)"
    )
    local_directory: str = option(
        "",
        "directory that workers spill to (default: the job's scratch)",
        metavar="DIR",
    )
    dashboard: bool = option(
        False, "start Dask's dashboard, and print the ssh command to see it"
    )
    scheduler_file: str = option(
        "",
        "write FILE, for clients outside the job: mpiapps dask connect",
        metavar="FILE",
        file="written",
    )
    insecure: bool = option(
        False, "disable TLS: all users who can reach the ports can run code as you"
    )
    set: tuple[tuple[str, Any], ...] = option(
        (), "setting of Dask, such as distributed.worker.memory.terminate=0.98; may be"
        " repeated", type=parse_setting, metavar="NAME=VALUE",
    )  # fmt: skip
    resources: tuple[tuple[str, float], ...] = option(
        (), "resource of each worker, such as GPU=1; may be repeated",
        type=parse_resource, metavar="NAME=NUMBER",
    )  # fmt: skip
    preload: tuple[str, ...] = option(
        (), "module or file that each worker imports first; may be repeated",
        metavar="MODULE",
    )  # fmt: skip
    engine: str = option(
        "own", "implementation that starts the cluster", choices=ENGINES
    )


@contextmanager
def dask_on_ranks(comm: Intracomm, **options: Any) -> Iterator[Client | None]:
    """Start a Dask cluster on the ranks of `comm`; yield its client. Collective.

    ::

        with dask_on_ranks(world.comm) as client:
            if client is not None:  # the root; the others wait for it
                client.map(function, items)

    Parameters
    ----------
    comm : MPI.Intracomm
        Any. The root runs client and scheduler, each other rank a worker; a root that
        is the only rank has a worker as well.
    **options
        The attributes of `mpiapps.dask_cluster.cluster_options.ClusterOptions`.

    Yields
    ------
    Client or None
        On the root: the current client, which `distributed.get_client` and
        ``Client()`` find. On the other ranks `None`, after the root has left the block.

    Raises
    ------
    LaunchError
        On all ranks, if Dask does not start, or hosts cannot connect to each other.
    HostProcessDied
        If the scheduler or a host's workers were killed; in the main thread, also while
        it waits.
    StopRequested
        On SIGUSR1, or at the job's deadline.

    Notes
    -----
    The cluster is closed within 10 s of the end of the block, also after an error.
    Waiting ranks sleep. Dask's messages and data use its own connections, with TLS; MPI
    carries only addresses and credentials.
    """
    from mpiapps.dask_cluster.cluster import Cluster
    from mpiapps.dask_cluster.cluster_options import ClusterOptions

    with Cluster(comm, ClusterOptions(**options)) as cluster:
        yield cluster.client
        cluster.check_alive()


def check(options: Options) -> None:
    """Raise `ValueError` if the options do not fit together."""
    if options.engine != "own" and (options.scheduler_file or not options.script):
        raise ValueError(
            f"--engine {options.engine}: needs a script, and has no --scheduler-file"
        )
    if options.engine != "own" and (
        options.set or options.resources or options.preload
    ):
        raise ValueError(
            f"--engine {options.engine}: has no --set, --resources and --preload"
        )
    if not options.script and not options.scheduler_file:
        raise ValueError("no script: name one, or a --scheduler-file for other clients")
    if options.script and not Path(options.script).is_file():
        raise ValueError(f"{options.script}: no such file")


def run(ctx: RunContext, options: Options) -> Result:
    """Run the script on the root, with workers on the other ranks. Collective."""
    if options.engine == "dask-mpi":
        from mpiapps.dask_cluster.dask_mpi import run as start
    else:
        start = _run
    world, code, values = ctx.world, 0, dict[str, Any]()
    stopped = False
    try:
        code, values = start(world, options, ctx.deadline)
    except StopRequested:
        stopped = bool(options.script)  # without one, the cluster ended as planned
    gc.freeze()  # else Python traverses all objects of Dask at exit
    code, values, stopped = world.comm.bcast((code, values, stopped))
    if stopped:
        ctx.checkpoint.request_requeue(0.0)
        raise Checkpointed(f"{options.script} stopped before its end; start it again")
    if code:
        raise SystemExit(code)
    return Result(values)


def _run(
    world: World, options: Options, deadline: Deadline
) -> tuple[int, dict[str, Any]]:
    """Return the script's exit code, and the statistics of the run; on the root."""
    from mpiapps.dask_cluster import scheduler_file
    from mpiapps.dask_cluster.cluster import Cluster
    from mpiapps.dask_cluster.script import run_script

    code = 0
    with world.timed("start"):
        cluster = Cluster(world.comm, _cluster_options(options), deadline)
    with cluster:
        if cluster.client is not None:
            from mpiapps.dask_cluster.forward import forwarding  # imports Dask

            insecure = "--insecure" if options.insecure else ""
            scheduler_file.announce(cluster.dashboard, insecure=insecure)
            with (
                world.timed("script"),
                scheduler_file.published(
                    options.scheduler_file,
                    cluster.address,
                    cluster.credentials,
                    cluster.dashboard,
                ),
            ):
                if options.script:
                    with forwarding():
                        code = run_script(options.script, options.arguments)
                    if code and (reason := cluster.loss_reason()):
                        write_err(f"mpiapps: {reason}\n")
                    elif not code:
                        cluster.check_alive()
                else:
                    _wait_for_shutdown(cluster)
    return code, cluster.summary


def _wait_for_shutdown(cluster: Cluster) -> None:
    """Wait until a client shuts the cluster down, or raise its failure. Root only."""
    assert cluster.client is not None
    silence_client_logs()
    while cluster.client.status == "running":
        time.sleep(POLL_SECONDS)
    until = time.monotonic() + KILL_DETECT_SECONDS
    while time.monotonic() < until:
        cluster.raise_failure()
        time.sleep(POLL_SECONDS)


def _cluster_options(options: Options) -> ClusterOptions:
    from mpiapps.dask_cluster.cluster_options import ClusterOptions

    return ClusterOptions(
        threads=options.threads,
        memory=options.memory,
        interface=options.interface,
        local_directory=options.local_directory,
        dashboard=options.dashboard,
        insecure=options.insecure,
        remote_clients=bool(options.scheduler_file),
        settings=dict(options.set),
        resources=dict(options.resources),
        preload=options.preload,
        idle_timeout=not options.script,
        path=(str(Path(options.script).resolve().parent),) if options.script else (),
    )


PROGRAM = Program(
    "dask", "Run a script with a Dask cluster on the ranks.", Options, run, check,
    quiet=True,
)  # fmt: skip

if __name__ == "__main__":
    code = main(PROGRAM)
    end_mpi()  # while Dask's processes end; the exit waits for them
    sys.exit(code)
