"""Tasks in a process that joblib started: it ends with the rank that it works for."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from mpiapps.tasks.task_set import TaskSet

POLL_SECONDS = 0.5  # between tests whether the rank still lives

_watchers: list[threading.Thread] = []


def run_for_rank(tasks: TaskSet, number: int, rank_pid: int) -> tuple[int, Any]:
    """Return the number of a task and its result, for the process `rank_pid`.

    Workers of loky outlive a rank that is killed, and keep open the outputs whose end
    mpiexec waits for.
    """
    if os.getppid() == rank_pid and not _watchers:
        watcher = threading.Thread(target=_end_with, args=[rank_pid], daemon=True)
        _watchers.append(watcher)
        watcher.start()
    return tasks.run_one(number)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
