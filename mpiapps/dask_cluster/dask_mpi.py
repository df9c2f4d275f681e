"""The cluster by dask-mpi: scheduler on rank 0, client on rank 1, workers elsewhere.

For comparison, and for scripts that rely on it. It has no TLS, does not restart
workers, and uses two ranks for scheduler and client; docs/dask.md compares the two.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mpiapps.base.errors import Checkpointed, LaunchError
from mpiapps.dask_cluster.scheduler_file import announce
from mpiapps.dask_cluster.script import run_script
from mpiapps.launch.interrupter import (
    MainThreadInterrupter,
    StopRequested,
    stop_at,
)

if TYPE_CHECKING:
    from mpiapps.base.deadline import Deadline
    from mpiapps.comm.world import World

CLIENT = 1


def run(world: World, options: Any, deadline: Deadline) -> tuple[int, dict[str, Any]]:
    """Run the script on rank 1; return its exit code, on all ranks. Collective."""
    if world.size <= CLIENT + 1:
        raise LaunchError(
            f"--engine dask-mpi needs 3 ranks or more, for scheduler, client and a"
            f" worker, but has {world.size}: start more, or use --engine own"
        )
    from dask_mpi import initialize, send_close_signal
    from distributed import Client

    from mpiapps.dask_cluster.forward import forwarding  # imports Dask

    sys.path.insert(0, str(Path(options.script).resolve().parent))  # for tasks, as well
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
            with Client() as client, MainThreadInterrupter(stop_at(deadline)):
                link = urlsplit(client.dashboard_link) if options.dashboard else None
                announce(str(link.port) if link else "", insecure="--engine dask-mpi")
                with forwarding():
                    code = run_script(options.script, options.arguments)
        except StopRequested:
            stopped = True
        finally:
            send_close_signal()
    code, stopped = world.comm.bcast((code, stopped), root=CLIENT)
    if stopped:
        raise StopRequested(Checkpointed.exit_code)
    return code, {}
