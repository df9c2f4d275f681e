"""Forward what a script sets before ``Client()`` to the workers, which already run.

Workers that ``Client()`` itself starts inherit the module path, the environment and the
Dask settings that the script has set by then. Here a client preload registers a
worker plugin with the changes since the script's start, also for restarted workers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.config
from distributed import WorkerPlugin

from mpiapps.dask_cluster.rank_cluster import RankCluster

if TYPE_CHECKING:
    from distributed import Client, Worker

PRELOAD = "distributed.client.preload"
# Read when scheduler, nannies and workers start, which is before the script.
STARTUP_PREFIXES = (
    "distributed.scheduler.",
    "distributed.nanny.",
    "distributed.worker.",
)
CLIENT_ONLY = ("scheduler", "shuffle")  # a nanny does not forward them, either


@dataclass(frozen=True)
class State:
    """A snapshot of what workers inherit."""

    path: list[str]
    environ: dict[str, str]
    settings: dict[str, Any]

    @classmethod
    def capture(cls) -> State:
        """Return the current state of this process."""
        leaves = dict(_leaves(deepcopy(dask.config.config)))
        leaves = {k: v for k, v in leaves.items() if k not in CLIENT_ONLY}
        return cls(list(sys.path), dict(os.environ), leaves)


class ForwardState(WorkerPlugin):
    """Applies the changes between two states to a worker."""

    name = "mpiapps-forward"

    def __init__(self, before: State, now: State) -> None:
        self.path = [entry for entry in now.path if entry not in before.path]
        self.environ = _changed(before.environ, now.environ)
        self.settings = _changed(before.settings, now.settings)
        self.removed = sorted(before.environ.keys() - now.environ.keys())

    def __bool__(self) -> bool:
        """Return whether there are changes."""
        return bool(self.path or self.environ or self.settings or self.removed)

    def setup(self, worker: Worker) -> None:
        """Apply the changes; called by the worker."""
        del worker
        sys.path[:0] = [entry for entry in self.path if entry not in sys.path]
        os.environ.update(self.environ)
        for name in self.removed:
            os.environ.pop(name, None)
        dask.config.set(self.settings)

    def startup_settings(self) -> list[str]:
        """Return the settings that are only read when processes start."""
        return [
            name for name in sorted(self.settings) if name.startswith(STARTUP_PREFIXES)
        ]


_initial: list[State] = []  # when the script started


@contextmanager
def forwarding() -> Iterator[None]:
    """Let clients created in the ``with`` block forward its changes to workers."""
    preload = dask.config.get(PRELOAD)
    with dask.config.set({PRELOAD: [*preload, __name__]}):
        _initial.append(State.capture())
        try:
            yield
        finally:
            _initial.pop()


async def dask_setup(client: Client) -> None:
    """Forward the changes to the workers; called by a client once it is connected."""
    from distributed.protocol.pickle import dumps

    client.cluster = RankCluster(client)
    if not _initial or not (plugin := ForwardState(_initial[-1], State.capture())):
        return
    if late := plugin.startup_settings():
        options = " ".join(f"--set {name}=..." for name in late)
        sys.stderr.write(
            f"mpiapps: note: {', '.join(late)}: no effect, as the scheduler and the"
            f" workers have already started; set these by {options}, or in Dask's"
            " configuration files\n"
        )
    assert client.scheduler is not None
    await client.scheduler.register_worker_plugin(
        plugin=dumps(plugin), name=plugin.name, idempotent=False
    )


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in now.items() if k not in before or before[k] != v}


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each setting with its full name."""
    for name, value in settings.items():
        key = f"{prefix}{name}".replace("_", "-")
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value
