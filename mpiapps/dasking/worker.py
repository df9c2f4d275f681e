"""What is set in a worker when it starts."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from distributed import WorkerPlugin

if TYPE_CHECKING:
    from distributed import Worker


# What it logs if the scheduler has just gone: the root tells whether it should have.
NO_NEWS = (
    "Failed to communicate with scheduler during heartbeat.",
    "Scheduler was unaware of this worker; shutting down.",
)


class Settle(WorkerPlugin):
    """Puts the worker on its rank's processors, and closes its page on the web. Local.

    Parameters
    ----------
    cpus : list of int
        Those that the launcher gave to the rank.
    """

    name = "mpiapps-settle"

    def __init__(self, cpus: list[int]) -> None:
        self._cpus = cpus

    def setup(self, worker: Worker) -> None:
        """Do it; called by the worker."""
        worker.http_server.stop()  # nobody asked for it, and it has no login
        # It warns of each task that is given up while it runs: at the end, all of them.
        logging.getLogger("distributed.worker.state_machine").setLevel(logging.ERROR)
        logging.getLogger("distributed.worker").addFilter(_is_news)
        for thread in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # a thread that has just ended; a cgroup's own
                os.sched_setaffinity(int(thread.name), self._cpus)

    def teardown(self, worker: Worker) -> None:
        """Log no more: it ends, and its nanny may remove its files first. By Dask."""
        del worker
        logging.disable()


def _is_news(record: logging.LogRecord) -> bool:
    return record.msg not in NO_NEWS
