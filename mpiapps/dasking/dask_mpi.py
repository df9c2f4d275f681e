"""The same by dask-mpi: scheduler on rank 0, client on rank 1, workers on the others.

For comparison, and for scripts that rely on it. It has no TLS, restarts no worker, and
keeps two ranks to itself; docs/dask.md compares the two.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mpiapps.base import stopping
from mpiapps.base.errors import LaunchError, Stopped
from mpiapps.dasking.connection import announce
from mpiapps.dasking.script import run_script
from mpiapps.dasking.watch import StopAsked, Watch, time_is_over

if TYPE_CHECKING:
    from mpiapps.comm.world import World

CLIENT = 1


def run(world: World, options: Any) -> tuple[int, dict[str, Any]]:
    """Run the script on rank 1; return its exit code, on all ranks. Collective."""
    if world.size <= CLIENT + 1:
        raise LaunchError(
            f"--engine dask-mpi needs 3 ranks or more, for scheduler, client and a"
            f" worker, and there are {world.size}; start more, or use the own engine"
        )
    from dask_mpi import initialize, send_close_signal
    from distributed import Client

    from mpiapps.dasking.forward import inherited  # it loads Dask

    sys.path.insert(0, str(Path(options.script).resolve().parent))  # for tasks, too
    stopping.watch()  # mpiexec hands the warning to all ranks, and none dies of it
    code, stopped = 0, False
    is_client = initialize(
        interface=options.interface or None,
        nthreads=options.threads or 1,
        local_directory=options.local_directory or None,
        memory_limit=options.memory or "auto",
        dashboard=options.dashboard,
        dashboard_address="127.0.0.1:0",
        comm=world.comm,
        exit=False,
    )
    if is_client:
        try:
            with Client() as client, Watch(time_is_over):
                page = urlsplit(client.dashboard_link) if options.dashboard else None
                announce(str(page.port) if page else "", insecure="--engine dask-mpi")
                with inherited():
                    code = run_script(options.script, options.arguments)
        except StopAsked:
            stopped = True
        finally:
            send_close_signal()
    code, stopped = world.comm.bcast((code, stopped), root=CLIENT)
    if stopped:
        raise StopAsked(Stopped.exit_code)
    return code, {}
