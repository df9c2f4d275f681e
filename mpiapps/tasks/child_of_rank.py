"""Tasks in a child process of a rank, which ends with the rank."""

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
    if os.getppid() == rank_pid:
        end_with_parent(rank_pid)
    return tasks.run_one(number)


def end_with_parent(parent: int) -> None:
    """End this process when `parent`, its parent, has ended."""
    if not _watchers:
        _watchers.append(threading.Thread(target=_watch, args=[parent], daemon=True))
        _watchers[0].start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
