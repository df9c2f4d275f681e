"""A plugin that configures each worker when it starts."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from distributed import WorkerPlugin

if TYPE_CHECKING:
    from distributed import Worker


# Beginnings of messages that are logged when the scheduler has just ended (the root
# reports it if it should not have), or when the worker has retired.
EXPECTED_MESSAGES = (
    "Failed to communicate with scheduler during heartbeat.",
    "Scheduler was unaware of this worker; shutting down.",
    # The scheduler ends a retired worker in two ways at once.
    "Invalid Worker.status transition: Status.closing",
)


class WorkerSetup(WorkerPlugin):
    """Binds the worker to its rank's processors, and stops its web server.

    Parameters
    ----------
    cpus : list of int
        The rank's affinity mask, as the launcher has set it.
    """

    name = "mpiapps-setup"

    def __init__(self, cpus: list[int]) -> None:
        self._cpus = cpus

    def setup(self, worker: Worker) -> None:
        """Configure the worker; called by it."""
        worker.http_server.stop()  # not requested, and without authentication
        # It warns of each running task that is cancelled: at the end, all of them.
        logging.getLogger("distributed.worker.state_machine").setLevel(logging.ERROR)
        logging.getLogger("distributed.worker").addFilter(_is_unexpected)
        for thread in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # a thread has ended; a cgroup forbids it
                os.sched_setaffinity(int(thread.name), self._cpus)

    def teardown(self, worker: Worker) -> None:
        """Disable the log: the nanny may remove the worker's files before it ends."""
        del worker
        logging.disable()


def _is_unexpected(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(EXPECTED_MESSAGES)
