"""What a script sets before ``Client()``: given to the workers, which are there before.

Workers that ``Client()`` itself starts inherit the folders of modules, the environment
and the settings of Dask that a script has set by then. Here a client of the script
gives them what differs from the script's start, and Dask gives it to each worker that
is started again.
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

if TYPE_CHECKING:
    from distributed import Client, Worker

PRELOAD = "distributed.client.preload"
# Read when scheduler, nannies and workers start, which they did before the script.
AT_START = ("distributed.scheduler.", "distributed.nanny.", "distributed.worker.")
OF_CLIENTS = ("scheduler", "shuffle")  # how these compute; a nanny leaves them out, too


@dataclass(frozen=True)
class State:
    """What workers inherit, as it is at some time."""

    path: list[str]
    environ: dict[str, str]
    settings: dict[str, Any]

    @classmethod
    def now(cls) -> State:
        """Return that of this process."""
        leaves = dict(_leaves(deepcopy(dask.config.config)))
        leaves = {k: v for k, v in leaves.items() if k not in OF_CLIENTS}
        return cls(list(sys.path), dict(os.environ), leaves)


class Inherit(WorkerPlugin):
    """Sets in a worker what a script has set since `before`. Local."""

    name = "mpiapps-inherit"

    def __init__(self, before: State, now: State) -> None:
        self.path = [each for each in now.path if each not in before.path]
        self.environ = _changed(before.environ, now.environ)
        self.settings = _changed(before.settings, now.settings)
        self.gone = sorted(before.environ.keys() - now.environ.keys())

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.path or self.environ or self.settings or self.gone)

    def setup(self, worker: Worker) -> None:
        """Set it; called by the worker."""
        del worker
        sys.path[:0] = [each for each in self.path if each not in sys.path]
        os.environ.update(self.environ)
        for name in self.gone:
            os.environ.pop(name, None)
        dask.config.set(self.settings)

    def too_late(self) -> list[str]:
        """Return the settings that only what starts after them would see."""
        return [name for name in sorted(self.settings) if name.startswith(AT_START)]


_begun: list[State] = []  # how things were when the script began


@contextmanager
def inherited() -> Iterator[None]:
    """Let clients of the ``with`` block give workers what is set in it. Local."""
    preload = dask.config.get(PRELOAD)
    with dask.config.set({PRELOAD: [*preload, __name__]}):
        _begun.append(State.now())
        try:
            yield
        finally:
            _begun.pop()


async def dask_setup(client: Client) -> None:
    """Give the workers what was set; called by the client when it has connected."""
    from distributed.protocol.pickle import dumps

    if not _begun or not (found := Inherit(_begun[-1], State.now())):
        return
    if late := found.too_late():
        variables = ", ".join(f"{variable_of(name)}=..." for name in late)
        sys.stderr.write(
            f"mpiapps: note: {', '.join(late)}: set by the script after scheduler and"
            " workers have started; what they read at their start is to be set in"
            f" Dask's configuration files or the environment ({variables})\n"
        )
    assert client.scheduler is not None
    await client.scheduler.register_worker_plugin(
        plugin=dumps(found), name=found.name, idempotent=False
    )


def variable_of(setting: str) -> str:
    """Return the environment variable by which Dask takes a setting. Local."""
    return "DASK_" + setting.upper().replace(".", "__").replace("-", "_")


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in now.items() if k not in before or before[k] != v}


def _leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each setting by its whole name."""
    for name, value in settings.items():
        key = f"{above}{name}".replace("_", "-")
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value
