"""Dask's own processes on one host: scheduler, nannies, workers. No MPI in them.

A rank starts this beside itself (`mpiapps.dasking.keeper`) and orders what to run, a
JSON line each on a socket; when that ends, as the rank left or died, all is closed. The
user's script is not here: functions come from the client, pickled.

usage: python -m mpiapps.dasking.service SOCKET FOLDER
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

from mpiapps.base.session import MARK, end_session, of_session, signal_session

CLOSE = 2.0  # s that a worker has to end the tasks at work
LONGEST = 8.0  # s after which this process ends without being closed
START = 60.0  # s that a worker has to connect; it may import Dask from a slow disk
OVER = "end of the run"
WORKERLESS = 60.0  # s after which tasks fail if no worker is left
# In this order: distributed reads the settings of logging when it is imported.
PRELOADED = ["mpiapps.dasking.quiet", "distributed", "mpiapps.dasking.preload"]
IDLE = "distributed.scheduler.idle-timeout"

Say = Callable[[dict[str, Any]], Awaitable[None]]
Orders = asyncio.Queue[dict[str, Any]]


def main() -> None:
    """Serve the rank that started this process. Local."""
    # What warns the ranks of the end would end this process and all its children.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with _silent():  # it cleans up after all others, and complains
        resource_tracker.ensure_running()
    number, folder = sys.argv[1:]
    # One process imports Dask, and each worker is a fork of it: much faster than an
    # import each. It begins now, beside this one's own import.
    set_forkserver_preload(PRELOADED)
    with _temporary(folder):  # it listens there, for as long as this process is
        forkserver.ensure_running()
    asyncio.run(_serve(socket.socket(fileno=int(number))))
    shutil.rmtree(folder, ignore_errors=True)  # the rank may be gone
    os._exit(0)  # all is closed, and threads of Dask may sleep for seconds


@contextmanager
def _temporary(folder: str) -> Iterator[None]:
    """Let temporary files of the ``with`` block lie in `folder`."""
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def _silent() -> Iterator[None]:
    """Let processes that are started in the ``with`` block have no outputs."""
    kept = [(number, os.dup(number)) for number in (1, 2)]
    nothing = os.open(os.devnull, os.O_WRONLY)
    for number, _ in kept:
        os.dup2(nothing, number)
    try:
        yield
    finally:
        os.close(nothing)
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)


async def _serve(channel: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=channel, limit=2**24)
    orders: Orders = asyncio.Queue()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)

    async def say(content: dict[str, Any]) -> None:
        writer.write(json.dumps(content).encode() + b"\n")
        await writer.drain()

    async def listen() -> None:
        while line := await reader.readline():
            await orders.put(json.loads(line))

    listening = asyncio.create_task(listen())
    service = Service(orders, say)
    work = asyncio.create_task(service.run())
    signalled = asyncio.create_task(over.wait())
    await asyncio.wait(
        {listening, work, signalled}, return_when=asyncio.FIRST_COMPLETED
    )
    if not (work.done() or service.closing):  # the rank is gone
        _end_anyway()
        work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    writer.close()


class Service:
    """Scheduler and workers of a host, as they are ordered. Local.

    Parameters
    ----------
    orders : asyncio.Queue
        First what all hosts are told, then where the scheduler is and which workers to
        have, then that it is over.
    say : callable
        Sends an answer to each.

    Attributes
    ----------
    closing : bool
        Whether it was told that it is over.
    """

    def __init__(self, orders: Orders, say: Say) -> None:
        self._orders, self._say = orders, say
        # Python's own helpers, which end by themselves; workers come later.
        self._helpers = set(of_session(os.getpid()))
        self.closing = False
        self._security: Any = None
        self._tally: Any = None

    async def run(self) -> None:
        """Do what is ordered, to the end; tell what goes wrong."""
        from mpiapps.dasking.folder import private_folder

        first = await self._orders.get()
        try:
            with private_folder(first["folder"]) as (folder, told):
                async with AsyncExitStack() as stack:
                    answer = await self._start(first, str(folder), stack)
                    await self._say({**answer, "told": told, "folder": str(folder)})
                    await self._work(str(folder), stack)
        except OSError as error:
            where = error.filename or first["folder"] or "its folder"
            await self._say({"error": f"{where}: {error.strerror or error}"})
        except Exception as error:
            await self._say({"error": with_causes(error)})

    async def _start(
        self, first: dict[str, Any], folder: str, stack: AsyncExitStack
    ) -> dict[str, Any]:
        """Load Dask, and have the scheduler, if it is ordered; return where it is."""
        import dask.config

        from mpiapps.dasking.keys import Keys

        _prepare(first["path"])
        if not first["idle"]:
            dask.config.set({IDLE: None})
        dask.config.set({**first["settings"], "temporary-directory": folder})
        if first["keys"]:
            self._security = Keys(**first["keys"]).security()
        if not first["scheduler"]:
            return {}
        from mpiapps.dasking.leader import Tally, start_scheduler

        self._tally = Tally(first["scheduler"]["restarts"])
        scheduler = await start_scheduler(
            first["scheduler"], self._security, self._tally
        )
        stack.push_async_callback(scheduler.close, reason=OVER)
        return {"address": scheduler.address, "dashboard": self._tally.dashboard}

    async def _work(self, folder: str, stack: AsyncExitStack) -> None:
        """Have the workers, until it is over."""
        order = await self._orders.get()
        nannies = [self._nanny(each, order, folder) for each in order["workers"]]
        stack.push_async_callback(_close, nannies, self._helpers)
        await asyncio.gather(*nannies)
        await self._say({"workers": len(nannies)})
        await self._orders.get()
        self.closing = True
        _end_anyway()
        await self._say(self._tally.found() if self._tally else {})

    def _nanny(
        self, worker: dict[str, Any], order: dict[str, Any], folder: str
    ) -> Awaitable[Any]:
        from distributed import Nanny

        from mpiapps.dasking.worker import Settle

        return Nanny(
            order["address"],
            name=worker["name"],
            nthreads=worker["threads"],
            memory_limit=worker["memory"],
            host=order["host"],
            local_directory=folder,
            security=self._security,
            death_timeout=START,
            dashboard_address="127.0.0.1:0",
            plugins=(Settle(worker["cpus"]),),
        )


def _prepare(path: list[str]) -> None:
    """Let modules beside the user's script be found, and workers be forks."""
    from mpiapps.dasking.quiet import be_quiet

    be_quiet()
    import dask.config
    from distributed import versions
    from distributed.utils import get_mp_context

    sys.path[:0] = path
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    if dask.config.get("distributed.scheduler.no-workers-timeout") is None:
        dask.config.set({"distributed.scheduler.no-workers-timeout": WORKERLESS})
    # It imports what workers may need into their common parent, and here as well:
    # pandas alone takes as long as all the rest, and few scripts need it.
    optional, versions.optional_packages = versions.optional_packages, []
    get_mp_context()
    versions.optional_packages = optional


def with_causes(error: BaseException | None) -> str:
    """Return what went wrong, and why: Dask's own errors name a part alone. Local."""
    from mpiapps.comm.packing import reason  # it loads NumPy, as Dask has by now

    texts = []
    while error is not None:
        text = reason(error).rstrip(".: ")
        texts += [text] if text not in texts else []
        error = error.__cause__ or error.__context__
    return ", caused by ".join(texts)


async def _close(nannies: list[Any], helpers: Collection[int]) -> None:
    """Close the workers, all at once; kill what is not closed soon, or was left.

    That is also what tasks started: it may hold the outputs that mpiexec waits for.
    """
    logging.disable()  # connections that end are no news now
    closing = (nanny.close(timeout=CLOSE, reason=OVER) for nanny in nannies)
    await asyncio.gather(*closing, return_exceptions=True)
    end_session(os.getpid(), CLOSE, but=helpers, mark=os.environ[MARK])


def _end_anyway() -> None:
    """End this process a while later, whatever it hangs in, and its workers."""

    def end() -> None:
        signal_session(os.getpid(), signal.SIGKILL, {os.getpid()}, os.environ[MARK])
        os._exit(1)

    timer = threading.Timer(LONGEST, end)
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main()
