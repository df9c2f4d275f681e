"""The scheduler, and the statistics of a run."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed import Scheduler
from distributed.core import rpc
from distributed.diagnostics.plugin import SchedulerPlugin

from mpiapps.dask_cluster.scaling import RankScaling

if TYPE_CHECKING:
    from dask.typing import Key
    from distributed.scheduler import WorkerState
    from distributed.security import Security

POLL_SECONDS = 0.5  # between samples of the workers' memory

# Logged when a retired worker sends its last heartbeat.
RETIRED_MESSAGE = "Received heartbeat from unregistered worker"

logger = logging.getLogger("distributed.scheduler")


class RunStatistics(SchedulerPlugin):
    """Counts tasks and restarts, and ends workers that exceed their restarts.

    Parameters
    ----------
    restarts : int
        Maximum restarts of a worker.
    """

    name = "mpiapps-statistics"

    def __init__(self, restarts: int) -> None:
        self.dashboard = ""
        self._allowed = restarts
        self._terminations: set[asyncio.Task[None]] = set()
        self._starts: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._restarts = 0
        self._resources: dict[str, tuple[int, int]] = {}
        self._peak: dict[str, int] = {}
        self._spilled: dict[str, int] = {}

    async def start(self, scheduler: Scheduler) -> None:
        """Start to sample; called by the scheduler."""
        self._scheduler = scheduler
        self._sampler = asyncio.create_task(self._sample_forever())

    async def close(self) -> None:
        """Stop; called by the scheduler when it closes."""
        logging.disable()  # removed workers may still send reports
        self._sampler.cancel()

    def transition(
        self, key: Key, start: str, finish: str, *args: Any, **kwargs: Any
    ) -> None:
        """Count a completed task; called by the scheduler."""
        del key, args, kwargs
        if start == "processing":
            self._ended[finish] += 1

    async def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Count a start of a worker; called by the scheduler."""
        state = scheduler.workers[worker]
        name = str(state.name)
        self._starts[name] += 1
        if name.isdigit():  # others are not on ranks
            self._resources[name] = state.nthreads, state.memory_limit
        self._restarts += self._starts[name] > 1
        if self._starts[name] > self._allowed + 1 and state.nanny:
            # In a task: the nanny cannot end a worker that waits for this method.
            termination = asyncio.create_task(self._terminate(scheduler, state))
            self._terminations.add(termination)
            termination.add_done_callback(self._terminations.discard)

    async def _terminate(self, scheduler: Scheduler, state: WorkerState) -> None:
        """Let a worker's nanny end it without a restart."""
        logger.error(
            "worker %s ended %d times; it is not restarted",
            state.name,
            self._allowed + 1,
        )
        args = scheduler.connection_args
        with suppress(OSError):
            async with rpc(state.nanny, connection_args=args) as nanny:
                await nanny.terminate(reason="too many restarts")

    def expect_start(self, name: str) -> None:
        """Do not count the next start of a worker as a restart."""
        self._starts[name] = 0

    def restart(self, scheduler: Scheduler) -> None:
        """Reset the counts: a client restarts all workers. Called by the scheduler."""
        del scheduler
        self._starts.clear()

    def summary(self) -> dict[str, Any]:
        """Return tasks, restarts, and the workers' resources and use, by rank."""
        self._sample()
        workers = [self._resources[name] for name in sorted(self._resources, key=int)]
        return {
            "tasks": self._ended["memory"],
            "erred": self._ended["erred"],
            "restarts": self._restarts,
            "threads": [threads for threads, _ in workers],
            "memory_bytes": [memory for _, memory in workers],
            "spilled_bytes": sum(self._spilled.values()),
            "peak_bytes": [self._peak[name] for name in sorted(self._peak, key=int)],
        }

    async def _sample_forever(self) -> None:
        while True:
            self._sample()
            await asyncio.sleep(POLL_SECONDS)

    def _sample(self) -> None:
        for state in self._scheduler.workers.values():
            name, memory = str(state.name), state.memory
            if name not in self._resources:
                continue
            self._peak[name] = max(self._peak.get(name, 0), memory.process)
            self._spilled[name] = max(self._spilled.get(name, 0), memory.spilled)


async def start_scheduler(
    order: dict[str, Any], security: Security | None, statistics: RunStatistics
) -> Scheduler:
    """Start a scheduler, with a web server only for the dashboard; return it.

    Parameters
    ----------
    order : dict
        ``host``, the address to listen at; ``dashboard``, whether to serve it.
    security : Security, optional
    statistics : RunStatistics
        Its `dashboard` is set to the dashboard's port.
    """
    # It logs the start and the end of each shuffle as warnings.
    logging.getLogger("distributed.shuffle").setLevel(logging.ERROR)
    logger.addFilter(lambda record: not str(record.msg).startswith(RETIRED_MESSAGE))
    scheduler = Scheduler(
        host=order["host"],
        protocol="tls" if security else "tcp",
        security=security,
        dashboard=order["dashboard"],
        dashboard_address="127.0.0.1:0",
        plugins=(statistics, RankScaling(statistics.expect_start)),
    )
    await scheduler
    if order["dashboard"]:
        statistics.dashboard = str(scheduler.services["dashboard"].port)
    else:
        scheduler.http_server.stop()
    return scheduler
