"""The nanny of a rank's worker, which can start the worker again after it retired."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Literal

import dask.config
from distributed import Nanny
from distributed.core import Status

PRELOAD = "distributed.worker.preload"

logger = logging.getLogger("distributed.nanny")


class RankNanny(Nanny):
    """A nanny that stays when the scheduler retires its worker.

    Dask's own closes with the worker. This one waits for `resume`, so that the
    scheduler can give the rank a worker again (`mpiapps.dask_cluster.scaling`). A
    worker that ends by itself, as one whose connection broke, is started again.

    Parameters
    ----------
    address : str
        The scheduler's.
    preload : list of str
        Modules of the worker, after those of Dask's configuration.
    last_reason : str
        Of the call of `close` that ends the nanny.
    **options
        As for `distributed.Nanny`.
    """

    def __init__(
        self, address: str, *, preload: list[str], last_reason: str, **options: Any
    ) -> None:
        preload = [*dask.config.get(PRELOAD), *preload]
        super().__init__(address, preload=preload, **options)
        self._last_reason = last_reason
        self._retired = asyncio.Event()
        self.handlers["resume"] = self.resume

    async def close(  # type: ignore[override]  # as Nanny's, which is not Server's
        self, timeout: float = 5, reason: str = "nanny-close"
    ) -> Literal["OK"]:
        """Close the nanny; if only its worker has ended, start another or wait."""
        if self.status != Status.closing_gracefully or reason == self._last_reason:
            return await super().close(timeout=timeout, reason=reason)
        self.process, self.status = None, Status.running
        has_retired = await self._worker_has_retired()
        if self.status != Status.running or self.process is not None:
            return "OK"  # closed meanwhile
        if has_retired:
            self._retired.set()
        else:
            logger.warning("worker %s has left; it is started again", self.name)
            await self.instantiate()
        return "OK"

    async def _worker_has_retired(self) -> bool:
        try:
            return bool(await self.scheduler.mpiapps_retired(rank=str(self.name)))
        except OSError:
            return True  # without a scheduler there is nothing to start
        except Exception:
            logger.exception("no answer whether worker %s has retired", self.name)
            return False

    async def resume(self) -> None:
        """Start the worker once it has retired; called by the scheduler."""
        await self._retired.wait()
        self._retired.clear()
        await self.instantiate()
