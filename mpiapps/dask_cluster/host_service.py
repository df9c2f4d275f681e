"""Dask's processes on one host: scheduler, nannies and workers, without MPI.

A rank starts this process (`mpiapps.dask_cluster.host_process`) and sends orders, a
JSON line each, on a socket. When the socket is closed, as the rank left or died, all of
Dask is closed. The user's script runs elsewhere; its client sends pickled functions.

usage: python -m mpiapps.dask_cluster.host_service SOCKET DIRECTORY
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import AsyncExitStack, contextmanager
from multiprocessing import forkserver, resource_tracker, set_forkserver_preload
from typing import Any

from mpiapps.base.processes import (
    SESSION_TAG,
    end_session,
    session_pids,
    signal_session,
)

WORKER_CLOSE_TIMEOUT = 2.0  # s for a worker to end its running tasks
FORCED_EXIT_SECONDS = 8.0  # after which this process exits without closing
CLOSE_REASON = "end of the run"
CONNECT_TIMEOUT = 60.0  # s for a worker; it may import Dask from a slow disk
NO_WORKERS_TIMEOUT = 60.0  # s after which tasks fail if no worker is left
# In this order: distributed configures logging when it is imported.
PRELOADED = [
    "mpiapps.dask_cluster.log_levels",
    "distributed",
    "mpiapps.dask_cluster.preload",
]
IDLE_TIMEOUT = "distributed.scheduler.idle-timeout"

Send = Callable[[dict[str, Any]], Awaitable[None]]
Orders = asyncio.Queue[dict[str, Any]]


def main() -> None:
    """Execute the orders of the rank that started this process."""
    # Ranks are warned by SIGUSR1, which would end this process and its children.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with _silenced():  # at exit it warns of what the others left
        resource_tracker.ensure_running()
    descriptor, directory = sys.argv[1:]
    # One process imports Dask, and the workers are forks of it: much faster than an
    # import in each. It starts now, and imports Dask while this process does so.
    set_forkserver_preload(PRELOADED)
    with _tempdir(directory):  # of its socket, for the life of this process
        forkserver.ensure_running()
    asyncio.run(_serve(socket.socket(fileno=int(descriptor))))
    shutil.rmtree(directory, ignore_errors=True)  # the rank may be gone
    os._exit(0)  # all is closed; threads of Dask may sleep for seconds


@contextmanager
def _tempdir(directory: str) -> Iterator[None]:
    """Create the temporary files of the ``with`` block in `directory`."""
    before, tempfile.tempdir = tempfile.tempdir, directory
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def _silenced() -> Iterator[None]:
    """Redirect the output of processes started in the ``with`` block to /dev/null."""
    saved = [(number, os.dup(number)) for number in (1, 2)]
    null = os.open(os.devnull, os.O_WRONLY)
    for number, _ in saved:
        os.dup2(null, number)
    try:
        yield
    finally:
        os.close(null)
        for number, copy in saved:
            os.dup2(copy, number)
            os.close(copy)


async def _serve(channel: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=channel, limit=2**24)
    orders: Orders = asyncio.Queue()
    terminated = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, terminated.set)

    async def send(content: dict[str, Any]) -> None:
        writer.write(json.dumps(content).encode() + b"\n")
        await writer.drain()

    async def listen() -> None:
        while line := await reader.readline():
            await orders.put(json.loads(line))

    listening = asyncio.create_task(listen())
    service = Service(orders, send)
    work = asyncio.create_task(service.run())
    signalled = asyncio.create_task(terminated.wait())
    await asyncio.wait(
        {listening, work, signalled}, return_when=asyncio.FIRST_COMPLETED
    )
    if not (work.done() or service.closing):  # the rank is gone
        _schedule_forced_exit()
        work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    writer.close()


class Service:
    """The scheduler and the workers of a host.

    Parameters
    ----------
    orders : asyncio.Queue
        First the configuration of all hosts, then the scheduler's address and this
        host's workers, then the end.
    send : callable
        Sends the answer to an order.

    Attributes
    ----------
    closing : bool
        Whether the order to end has arrived.
    """

    def __init__(self, orders: Orders, send: Send) -> None:
        self._orders, self._send = orders, send
        # Python's helper processes, which exit by themselves; workers start later.
        self._helpers = set(session_pids(os.getpid()))
        self.closing = False
        self._security: Any = None
        self._statistics: Any = None

    async def run(self) -> None:
        """Execute the orders, to the end; send errors to the rank."""
        from mpiapps.dask_cluster.local_directory import private_directory

        first = await self._orders.get()
        try:
            with private_directory(first["local_directory"]) as (path, notes):
                directory = str(path)
                async with AsyncExitStack() as stack:
                    answer = await self._start(first, directory, stack)
                    answer |= {"notes": notes, "local_directory": directory}
                    await self._send(answer)
                    await self._run_workers(directory, stack)
        except OSError as error:
            name = error.filename or first["local_directory"] or "local directory"
            await self._send({"error": f"{name}: {error.strerror or error}"})
        except Exception as error:
            await self._send({"error": with_causes(error)})

    async def _start(
        self, first: dict[str, Any], directory: str, stack: AsyncExitStack
    ) -> dict[str, Any]:
        """Import Dask; start the scheduler if it is ordered; return its address."""
        import dask.config

        from mpiapps.dask_cluster.security import TLSCredentials

        _configure(first["path"])
        self._first = first
        if not first["idle_timeout"]:
            dask.config.set({IDLE_TIMEOUT: None})
        dask.config.set({**first["settings"], "temporary-directory": directory})
        if first["credentials"]:
            self._security = TLSCredentials(**first["credentials"]).security()
        if "scheduler" not in first:
            return {}
        from mpiapps.dask_cluster.scheduler import RunStatistics, start_scheduler

        self._statistics = RunStatistics(first["scheduler"]["restarts"])
        scheduler = await start_scheduler(
            first["scheduler"], self._security, self._statistics
        )
        stack.push_async_callback(scheduler.close, reason=CLOSE_REASON)
        return {"address": scheduler.address, "dashboard": self._statistics.dashboard}

    async def _run_workers(self, directory: str, stack: AsyncExitStack) -> None:
        """Run the workers until the order to end."""
        import dask.config

        from mpiapps.dask_cluster.settings import longer_intervals

        order = await self._orders.get()
        cpus = {cpu for spec in order["workers"] for cpu in spec["cpus"]}
        dask.config.set(longer_intervals(len(order["workers"]), max(1, len(cpus))))
        nannies = [self._nanny(spec, order, directory) for spec in order["workers"]]
        stack.push_async_callback(_close, nannies, self._helpers)
        await asyncio.gather(*nannies)
        await self._send({"workers": len(nannies)})
        await self._orders.get()
        self.closing = True
        _schedule_forced_exit()
        await self._send(self._statistics.summary() if self._statistics else {})

    def _nanny(
        self, spec: dict[str, Any], order: dict[str, Any], directory: str
    ) -> Awaitable[Any]:
        from mpiapps.dask_cluster.rank_nanny import RankNanny
        from mpiapps.dask_cluster.worker_setup import WorkerSetup

        return RankNanny(
            order["address"],
            name=spec["name"],
            nthreads=spec["threads"],
            memory_limit=spec["memory"],
            host=order["host"],
            local_directory=directory,
            resources=self._first["resources"],
            preload=self._first["preload"],
            last_reason=CLOSE_REASON,
            security=self._security,
            death_timeout=CONNECT_TIMEOUT,
            dashboard_address="127.0.0.1:0",
            plugins=(WorkerSetup(spec["cpus"]),),
        )


def _configure(path: list[str]) -> None:
    """Configure Dask: the module path, workers as forks, a timeout without workers."""
    from mpiapps.dask_cluster.log_levels import set_log_levels

    set_log_levels()
    import dask.config
    from distributed import versions
    from distributed.utils import get_mp_context

    sys.path[:0] = path
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    if dask.config.get("distributed.scheduler.no-workers-timeout") is None:
        dask.config.set(
            {"distributed.scheduler.no-workers-timeout": NO_WORKERS_TIMEOUT}
        )
    # Dask preloads optional packages into the workers' parent, and imports them here:
    # pandas alone takes as long as all others, and few scripts need it.
    optional, versions.optional_packages = versions.optional_packages, []
    get_mp_context()
    versions.optional_packages = optional


def with_causes(error: BaseException | None) -> str:
    """Return the text of `error` and its causes, which Dask's own errors omit."""
    from mpiapps.comm.pickling import reason  # imports NumPy, as Dask has by now

    texts = []
    while error is not None:
        text = reason(error).rstrip(".: ")
        texts += [text] if text not in texts else []
        error = error.__cause__ or error.__context__
    return ", caused by ".join(texts)


async def _close(nannies: list[Any], helpers: Collection[int]) -> None:
    """Close the workers in parallel; kill processes that remain after a while.

    These include commands started by tasks: mpiexec waits until their output is closed.
    """
    logging.disable()  # connections close now, as expected
    closing = (
        nanny.close(timeout=WORKER_CLOSE_TIMEOUT, reason=CLOSE_REASON)
        for nanny in nannies
    )
    await asyncio.gather(*closing, return_exceptions=True)
    end_session(
        os.getpid(), WORKER_CLOSE_TIMEOUT, exclude=helpers, tag=os.environ[SESSION_TAG]
    )


def _schedule_forced_exit() -> None:
    """Kill the workers and exit after `FORCED_EXIT_SECONDS`, even if blocked."""

    def force_exit() -> None:
        signal_session(
            os.getpid(), signal.SIGKILL, {os.getpid()}, os.environ[SESSION_TAG]
        )
        os._exit(1)

    timer = threading.Timer(FORCED_EXIT_SECONDS, force_exit)
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main()
