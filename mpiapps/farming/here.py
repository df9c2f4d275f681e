"""The tasks at work on this host: from what was given to a line of the journal."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from mpiapps.base.launcher import not_a_rank
from mpiapps.farming.books import Given
from mpiapps.farming.child import Ended
from mpiapps.farming.nursery import NAME, Nursery
from mpiapps.farming.outputs import Stamp, brought_to_disk
from mpiapps.farming.tasklist import Task

HOST = os.uname().nodename


class Here:
    """The tasks that one rank keeps at work. Local.

    Parameters
    ----------
    cpus : collection of int
        The processors that they may use.
    """

    def __init__(self, cpus: Collection[int] = ()) -> None:
        self._nursery = Nursery(cpus, not_a_rank(os.environ))
        self._given: dict[str, Given] = {}

    @property
    def busy(self) -> int:
        """How many tasks are at work."""
        return len(self._given)

    def begin(self, given: Given) -> None:
        """Begin a task."""
        task = given.task
        self._given[given.name] = given
        threads = {"OMP_NUM_THREADS": str(task.cores)}
        order = {
            "command": task.command,
            "log": given.log,
            "environ": {**threads, **task.environ, NAME: given.name},
            "folder": task.folder,
            "seconds": task.seconds,
            "memory": task.memory,
        }
        self._nursery.start(given.name, order)

    def stop(self) -> None:
        """Ask all tasks at work to end."""
        self._nursery.stop()

    def ended(self, seconds: float) -> list[dict[str, Any]]:
        """Return the lines about tasks that have ended; wait for one so long."""
        ended = self._nursery.poll(seconds)
        return [as_record(self._given.pop(name), how) for name, how in ended]

    def close(self) -> None:
        """End what is at work."""
        self._nursery.close()


def as_record(given: Given, ended: Ended) -> dict[str, Any]:
    """Return the line about an attempt. Local."""
    try:
        log = Path(given.log).stat().st_size
    except OSError:  # there was no room for it
        log = 0
    outputs, why = _outputs(given.task) if ended.code == 0 else ({}, "")
    if why:
        ended = replace(ended, code=1, why=why)
    return {
        "task": given.name,
        "attempt": given.attempt,
        "command": given.task.command,
        "host": HOST,
        "at": time.time(),
        "log": log,
        **vars(ended),
        **({"outputs": outputs} if outputs else {}),
    }


def _outputs(task: Task) -> tuple[dict[str, Stamp], str]:
    """Return the stamps of a task's outputs, and why it has failed for all that."""
    found = {}
    for name in task.outputs:
        path = Path(task.folder, name).absolute()
        try:
            found[str(path)] = brought_to_disk(path)
        except OSError as error:
            return {}, f"no output {name}: {error.strerror}"
    return found, ""
