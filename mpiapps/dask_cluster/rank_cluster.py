"""``client.cluster``: scale the workers of the ranks from a script or a notebook."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dask.utils import parse_timedelta
from distributed.comm.core import CommClosedError
from distributed.core import Status

if TYPE_CHECKING:
    from distributed import Client


class RankCluster:
    """The workers on ranks, with the methods of Dask's clusters. Local to a client.

    Parameters
    ----------
    client : Client
        Connected to a cluster of `mpiapps.dask`.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def scale(self, n: int) -> Any:
        """Retire or start workers until `n` ranks have one; return their number.

        Data of a retired worker move to the others; its memory and processors are free.
        Workers whose data have no other place stay. An asynchronous client gets a
        coroutine.

        Raises
        ------
        ValueError
            If the job does not have so many ranks for workers.
        """
        return self._client.sync(self._call, "mpiapps_scale", n=int(n))

    def adapt(
        self,
        minimum: int = 0,
        maximum: int | None = None,
        interval: str | float = "1s",
        wait_count: int = 3,
    ) -> Any:
        """Retire and start workers by the load, until the next `scale` or `adapt`.

        Parameters
        ----------
        minimum, maximum : int
            Numbers of workers; a larger maximum than the job's ranks is not an error.
        interval : str or float
            Between estimates of the load; floats in s.
        wait_count : int
            Estimates in sequence that ask for fewer workers before any is retired.
        """
        seconds = parse_timedelta(interval)
        options = {"minimum": minimum, "maximum": maximum, "wait_count": wait_count}
        return self._client.sync(
            self._call, "mpiapps_adapt", interval=seconds, **options
        )

    async def _call(self, name: str, **arguments: Any) -> Any:
        result = await getattr(self._client.scheduler, name)(**arguments)
        if isinstance(result, str):
            raise ValueError(result)
        return result

    @property
    def status(self) -> Status:
        """Running; Dask's client reads it."""
        return Status.running

    async def close(self) -> None:
        """End scheduler and workers; called by ``client.shutdown()``."""
        assert self._client.scheduler is not None
        with suppress(CommClosedError):
            await self._client.scheduler.terminate()

    def _repr_html_(self, cluster_status: object = None) -> str:
        """Return what notebooks show of the cluster within a client."""
        del cluster_status
        return "<p>workers on the ranks of an MPI job</p>"
