"""The nanny of a rank's worker, which can start the worker again after it retired."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import dask.config
from distributed import Nanny
from distributed.core import Status

PRELOAD = "distributed.worker.preload"


class RankNanny(Nanny):
    """A nanny that stays when the scheduler retires its worker.

    Dask's own closes with the worker. This one waits for `resume`, so that the
    scheduler can give the rank a worker again (`mpiapps.dask_cluster.scaling`).

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
        """Close the nanny; if its worker has retired and ended, only note that."""
        if self.status == Status.closing_gracefully and reason != self._last_reason:
            self.process, self.status = None, Status.running
            self._retired.set()
            return "OK"
        return await super().close(timeout=timeout, reason=reason)

    async def resume(self) -> None:
        """Start the worker once it has retired; called by the scheduler."""
        await self._retired.wait()
        self._retired.clear()
        await self.instantiate()
