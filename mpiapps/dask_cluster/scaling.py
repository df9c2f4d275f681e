"""Retire and start workers of ranks, for ``client.cluster.scale`` and ``adapt``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from distributed.core import Status, rpc
from distributed.diagnostics.plugin import SchedulerPlugin

if TYPE_CHECKING:
    from distributed import Scheduler

STATUS_CHANGE = "worker-status-change"  # the scheduler's event

logger = logging.getLogger("distributed.scheduler")


class RankScaling(SchedulerPlugin):
    """Changes the number of workers, at most one per rank. On the scheduler.

    Parameters
    ----------
    on_start : callable
        Called with a rank before its worker is started again.
    """

    name = "mpiapps-scaling"

    def __init__(self, on_start: Callable[[str], object]) -> None:
        self._on_start = on_start
        self._nannies: dict[str, str] = {}  # addresses, by rank
        self._ranks: dict[str, str] = {}  # by the worker's address
        self._retired: set[str] = set()
        self._removed: set[str] = set()  # ranks whose worker was asked to end
        self._lock = asyncio.Lock()
        self._adapting: asyncio.Task[None] | None = None

    async def start(self, scheduler: Scheduler) -> None:
        """Add the calls of clients; called by the scheduler."""
        self._scheduler = scheduler
        scheduler.handlers["mpiapps_scale"] = self.scale
        scheduler.handlers["mpiapps_adapt"] = self.adapt
        scheduler.handlers["mpiapps_retired"] = self.has_retired

    async def close(self) -> None:
        """Stop to adapt; called by the scheduler when it closes."""
        self._stop_adapting()

    async def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Note the nanny of a rank's worker; called by the scheduler."""
        state = scheduler.workers[worker]
        if str(state.name).isdigit() and state.nanny:
            self._nannies[str(state.name)] = state.nanny
            self._ranks[worker] = str(state.name)
            self._removed.discard(str(state.name))

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: object) -> None:
        """Note whether a worker was asked to end; called by the scheduler."""
        del scheduler
        rank = self._ranks.pop(worker, None)
        if rank is not None and self._is_retiring(worker):
            self._removed.add(rank)

    async def has_retired(self, rank: str) -> bool:
        """Return whether a rank's worker was asked to end, or all are."""
        present = [worker for worker, name in self._ranks.items() if name == rank]
        return (
            rank in self._removed
            or self._scheduler.status != Status.running
            or any(map(self._is_retiring, present))
        )

    def _is_retiring(self, worker: str) -> bool:
        """Return whether a worker was closing gracefully before it closed.

        By the scheduler's events: the status of a removed worker is "closed".
        """
        last: dict[str, object] = {}
        for _, event in self._scheduler.get_events(worker):
            if isinstance(event, dict) and event.get("action") == STATUS_CHANGE:
                last = event
        before, now = last.get("prev-status"), last.get("status")
        closing = Status.closing_gracefully.name
        return now == closing or (now == Status.closing.name and before == closing)

    async def scale(self, n: int) -> int | str:
        """Let `n` ranks have a worker, and no longer adapt; return their number.

        A text is an error for the client to raise; Dask logs those raised here.
        """
        if not 0 <= n <= len(self._nannies):
            return (
                f"scale({n}): the job has {len(self._nannies)} ranks with a worker;"
                " start more ranks for more workers"
            )
        async with self._lock:
            self._stop_adapting()
        return await self._scale(n)

    async def adapt(
        self, minimum: int, maximum: int | None, interval: float, wait_count: int
    ) -> str | None:
        """Scale every `interval` s by the load, as estimated by the scheduler.

        A text is an error for the client to raise.
        """
        highest = len(self._nannies)
        maximum = highest if maximum is None else min(maximum, highest)
        if not 0 <= minimum <= maximum:
            return (
                f"adapt(minimum={minimum}, maximum={maximum}): expected 0 <= minimum <="
                f" maximum, of {highest} ranks with a worker"
            )
        async with self._lock:  # not while it retires workers
            self._stop_adapting()
            self._adapting = asyncio.create_task(
                self._adapt_forever(minimum, maximum, interval, wait_count)
            )
        return None

    def _stop_adapting(self) -> None:
        if self._adapting:
            self._adapting.cancel()
            self._adapting = None

    async def _adapt_forever(
        self, minimum: int, maximum: int, interval: float, wait_count: int
    ) -> None:
        fewer = 0  # samples in sequence that ask for fewer workers
        while True:
            target = self._scheduler.adaptive_target()
            target = max(minimum, min(maximum, target))
            running = len(self._nannies) - len(self._retired)
            fewer = fewer + 1 if target < running else 0
            if target > running or fewer >= wait_count:
                await self._scale(target)
                fewer = 0
            await asyncio.sleep(interval)

    async def _scale(self, n: int) -> int:
        async with self._lock:
            excess = len(self._nannies) - len(self._retired) - n
            if excess > 0:
                await self._retire(excess)
            elif excess < 0:
                ranks = sorted(self._retired, key=int)[:-excess]
                await asyncio.gather(*map(self._resume, ranks))
            return len(self._nannies) - len(self._retired)

    async def _retire(self, n: int) -> None:
        """Move the data of `n` workers, idle ones first, to others; end them.

        Workers whose data have no other place stay.
        """
        names = self._scheduler.workers_to_close(n=n, attribute="name")
        retired = await self._scheduler.retire_workers(
            workers=self._addresses(map(str, names)), close_workers=True, remove=True
        )
        self._retired |= {str(worker["name"]) for worker in retired.values()}

    def _addresses(self, names: Iterable[str]) -> list[str]:
        ranks = self._nannies.keys() & set(names)
        workers = self._scheduler.workers.values()
        return [state.address for state in workers if str(state.name) in ranks]

    async def _resume(self, rank: str) -> None:
        """Let a nanny start its worker; forget one that has ended."""
        self._on_start(rank)
        address, ended = self._nannies[rank], True
        with suppress(OSError):
            async with rpc(
                address, connection_args=self._scheduler.connection_args
            ) as nanny:
                await nanny.resume()
            ended = False
        self._retired.discard(rank)
        if ended:
            del self._nannies[rank]
            logger.error("the nanny of rank %s has ended", rank)
