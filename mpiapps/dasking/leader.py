"""The scheduler, and what it knows of a run at its end."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed import Scheduler
from distributed.core import rpc
from distributed.diagnostics.plugin import SchedulerPlugin

if TYPE_CHECKING:
    from dask.typing import Key
    from distributed.scheduler import WorkerState
    from distributed.security import Security

EVERY = 0.5  # s between looks at the memory of workers

logger = logging.getLogger("distributed.scheduler")


class Tally(SchedulerPlugin):
    """Counts what a run did, and keeps away a worker that ends again and again.

    Parameters
    ----------
    restarts : int
        How often a worker may be started again.
    """

    name = "mpiapps-tally"

    def __init__(self, restarts: int) -> None:
        self.dashboard = ""
        self._allowed = restarts
        self._sending: set[asyncio.Task[None]] = set()
        self._starts: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._restarts = 0
        self._has: dict[str, tuple[int, int]] = {}
        self._peak: dict[str, int] = {}
        self._spilled: dict[str, int] = {}

    async def start(self, scheduler: Scheduler) -> None:
        """Begin; called by the scheduler."""
        self._scheduler = scheduler
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """End; called by the scheduler, whoever closes it."""
        logging.disable()  # workers that it has no more may still report to it
        self._watching.cancel()

    def transition(
        self, key: Key, start: str, finish: str, *args: Any, **kwargs: Any
    ) -> None:
        """Count a task that has ended; called by the scheduler."""
        del key, args, kwargs
        if start == "processing":
            self._ended[finish] += 1

    async def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Count a start of a worker; called by the scheduler."""
        state = scheduler.workers[worker]
        name = str(state.name)
        self._starts[name] += 1
        if name.isdigit():  # others joined from outside
            self._has[name] = state.nthreads, state.memory_limit
        self._restarts += self._starts[name] > 1
        if self._starts[name] > self._allowed + 1 and state.nanny:
            # Apart: the nanny cannot end a worker that waits here for an answer.
            sending = asyncio.create_task(self._send_away(scheduler, state))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)

    async def _send_away(self, scheduler: Scheduler, state: WorkerState) -> None:
        """Let a worker's nanny end it, and not start it again."""
        logger.error(
            "worker %s ended %d times; it stays away", state.name, self._allowed + 1
        )
        args = scheduler.connection_args
        with suppress(OSError):
            async with rpc(state.nanny, connection_args=args) as nanny:
                await nanny.terminate(reason="it ended too often")

    def restart(self, scheduler: Scheduler) -> None:
        """Forget how often workers ended: the client asked for it. By the scheduler."""
        del scheduler
        self._starts.clear()

    def found(self) -> dict[str, Any]:
        """Return tasks, restarts, and what workers had and used, by rank."""
        self._look()
        workers = [self._has[name] for name in sorted(self._has, key=int)]
        return {
            "tasks": self._ended["memory"],
            "erred": self._ended["erred"],
            "restarts": self._restarts,
            "threads": [threads for threads, _ in workers],
            "memory_bytes": [memory for _, memory in workers],
            "spilled_bytes": sum(self._spilled.values()),
            "peak_bytes": [self._peak[name] for name in sorted(self._peak, key=int)],
        }

    async def _watch(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(EVERY)

    def _look(self) -> None:
        for state in self._scheduler.workers.values():
            name, memory = str(state.name), state.memory
            if name not in self._has:
                continue
            self._peak[name] = max(self._peak.get(name, 0), memory.process)
            self._spilled[name] = max(self._spilled.get(name, 0), memory.spilled)


async def start_scheduler(
    order: dict[str, Any], security: Security | None, tally: Tally
) -> Scheduler:
    """Return a scheduler that listens. It has a page on the web only if that was asked.

    Parameters
    ----------
    order : dict
        ``host``, the address to listen at; ``dashboard``, whether to have the page.
    security : Security, optional
    tally : Tally
        Gets the port of the page.
    """
    # Each shuffle of a data frame is a warning of its beginning and of its end.
    logging.getLogger("distributed.shuffle").setLevel(logging.ERROR)
    scheduler = Scheduler(
        host=order["host"],
        protocol="tls" if security else "tcp",
        security=security,
        dashboard=order["dashboard"],
        dashboard_address="127.0.0.1:0",
        plugins=(tally,),
    )
    await scheduler
    if order["dashboard"]:
        tally.dashboard = str(scheduler.services["dashboard"].port)
    else:
        scheduler.http_server.stop()
    return scheduler
